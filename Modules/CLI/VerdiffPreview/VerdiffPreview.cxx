// VerdiffPreview IMAGE OUTPUT.png: a picture to judge a segmentation by eye.
#include "VerdiffPreviewCLP.h"

#include "output_file.h"
#include "png_file.h"
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
  const Canvas canvas = DrawPreview(input, static_cast<int>(parameters.Integer("width")));
  program.progress.Report(0.9, "Writing");
  WritePng(file, canvas.Width(), canvas.Height(), 3, canvas.Pixels());
}

} // namespace

int
main(int argc, char * argv[])
{
  return verdiff::RunProgram(argc, argv, XMLModuleDescription, Preview);
}
