// use_cxx MODEL: the C library from C++, its objects owned by smart pointers.
#include <cmath>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <vdn.h>

struct Free
{
  void
  operator()(vdn_ctx * ctx) const
  {
    vdn_ctx_free(ctx);
  }
  void
  operator()(char * text) const
  {
    vdn_string_free(text);
  }
};

int
main(int argc, char * argv[])
{
  if (argc != 2)
  {
    return 2;
  }
  vdn_ctx_options options;
  vdn_ctx_options_init(&options);
  options.device = "cpu";
  vdn_ctx * opened = nullptr;
  if (vdn_ctx_create(&opened, &options) != VDN_OK)
  {
    return 1;
  }
  const std::unique_ptr<vdn_ctx, Free> ctx(opened);

  char * text = nullptr;
  if (vdn_model_describe(ctx.get(), &text, argv[1], nullptr, 64, 64) != VDN_OK)
  {
    std::cerr << vdn_ctx_error(ctx.get()) << '\n';
    return 1;
  }
  const std::unique_ptr<char, Free> description(text);
  if (std::string(text).find("\"parameters\"") == std::string::npos)
  {
    std::cerr << "no parameters in " << text << '\n';
    return 1;
  }

  // A refusal is a status and a sentence, and leaves the context usable.
  vdn_model * none = nullptr;
  if (vdn_model_load(ctx.get(), &none, "no such file") != VDN_ERR_IO || none || !vdn_ctx_error(ctx.get())[0])
  {
    std::cerr << "a missing model file was not refused as it should be\n";
    return 1;
  }
  const uint16_t   mask[4] = { 0, 1, 1, 0 };
  const int64_t    size[3] = { 1, 2, 2 };
  const double     spacing[3] = { 1.0, 1.0, 1.0 };
  vdn_score        score;
  const vdn_status status = vdn_score_labels(ctx.get(), &score, mask, mask, size, spacing, 1);
  return status == VDN_OK && std::abs(score.dice - 1.0) < std::numeric_limits<double>::epsilon() ? 0 : 1;
}
