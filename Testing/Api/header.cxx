// vdn.h compiles as C++17 with every warning on, and its names have C linkage.
#include "vdn.h"

#include <type_traits>

static_assert(std::is_standard_layout<vdn_model_info>::value, "a plain C struct");
static_assert(std::is_trivial<vdn_slices>::value, "a plain C struct");
static_assert(std::is_same<decltype(&vdn_ctx_error), const char * (*)(const vdn_ctx *)>::value, "signature");

extern "C" const char *
vdn_status_name(vdn_status status);
