// VerdiffPreview IMAGE OUTPUT.png: a picture to judge a segmentation by eye.
#include "description.h"

#include "output_file.h"
#include "preview.h"
#include "program.h"
#include "text.h"
#include "volume_reader.h"

#include <filesystem>

namespace
{

using namespace verdiff;

LabelImage::Pointer
ReadIfGiven(const Parameters & parameters, const std::string & name)
{
  const std::string path = parameters.String(name);
  return path.empty() ? LabelImage::Pointer() : ReadLabels(path).image;
}

void
Preview(Program & program)
{
  const Parameters & parameters = program.parameters;
  const std::string  output = parameters.String("outputPicture");
  if (ImageExtension(output) != ".png")
  {
    throw Failure(ExitCode::Usage, output + ": the picture must end in .png");
  }
  OutputFile file(output);
  program.progress.Start();
  program.progress.Report(0.0, "Reading");
  PreviewInput input;
  input.scan = ReadVolume(parameters.String("inputVolume"));
  input.reference = ReadIfGiven(parameters, "reference");
  input.segmentation = ReadIfGiven(parameters, "segmentation");
  input.title = std::filesystem::path(parameters.String("inputVolume")).filename().string();
  program.progress.Report(0.6, "Drawing");
  file.Write(DrawPreview(input, static_cast<int>(parameters.Integer("width"))).Png());
  file.Commit();
}

} // namespace

int
main(int argc, char * argv[])
{
  return verdiff::RunProgram(argc, argv, kDescription, Preview);
}
