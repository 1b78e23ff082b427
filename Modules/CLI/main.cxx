// The program around a module. The module itself is compiled once and is in the shared object for hosts too.
extern "C" int
ModuleEntryPoint(int argc, char * argv[]);

int
main(int argc, char * argv[])
{
  return ModuleEntryPoint(argc, argv);
}
