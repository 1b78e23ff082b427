// make_label_files FOLDER: write what is made from Resources/Labels/labels.csv.
#include "label_files.h"
#include "output_file.h"

#include <cstdio>
#include <exception>

int
main(int argc, char * argv[])
{
  if (argc != 2)
  {
    std::fputs("usage: make_label_files FOLDER\n", stderr);
    return 2;
  }
  try
  {
    for (const verdiff::LabelFile & label : verdiff::MakeLabelFiles())
    {
      verdiff::OutputFile file(std::string(argv[1]) + "/" + label.name);
      file.Write(label.bytes);
      file.Commit();
    }
  }
  catch (const std::exception & exception)
  {
    std::fprintf(stderr, "%s\n", exception.what());
    return 1;
  }
  return 0;
}
