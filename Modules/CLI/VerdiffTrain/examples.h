// Pictures of a few validation slices with the reference and what the networks say, while a training runs.
#pragma once

#include "core.h"

#include <memory>
#include <string>

namespace verdiff
{

class Examples
{
public:
  /// Pictures go to @p folder/examples/step-<step>.png.
  explicit Examples(const std::string & folder);
  ~Examples();
  Examples(const Examples &) = delete;
  Examples &
  operator=(const Examples &) = delete;

  /// Ask the training for its examples. This object must outlive it.
  void
  Attach(vdn_train_options & options);

  /// Why a picture could not be drawn, or an empty string.
  const std::string &
  Problem() const;

private:
  struct State;
  std::unique_ptr<State> m_State;
};

} // namespace verdiff
