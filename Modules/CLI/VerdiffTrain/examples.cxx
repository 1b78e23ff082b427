#include "examples.h"

#ifdef VERDIFF_DRAWING

#include "output_file.h"
#include "png_file.h"
#include "preview.h"
#include "text.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <vector>

namespace verdiff
{
namespace
{

constexpr int   panelHeight = 420;
constexpr int   margin = 8;
constexpr int   line = 20;
constexpr Color black{ 0, 0, 0 };
constexpr Color white{ 255, 255, 255 };
constexpr Color green{ 60, 220, 90 };
constexpr Color yellow{ 255, 210, 60 };
constexpr Color red{ 255, 70, 70 };

// An example outlives the call that shows it until all of its validation are there.
struct Kept
{
  std::string          title;
  int                  width;
  int                  height;
  std::vector<float>   grey; // the middle channel
  std::vector<uint8_t> reference;
  std::vector<uint8_t> prior;
  std::vector<uint8_t> refined; // empty: none
};

Kept
Keep(const vdn_train_example & e)
{
  const auto count = static_cast<size_t>(e.height * e.width);
  const int  channels = e.image_channels;
  Kept       kept;
  kept.title = Format("%s %lld, Dice %.3f", e.case_id, (long long)e.index, e.dice);
  kept.width = static_cast<int>(e.width);
  kept.height = static_cast<int>(e.height);
  for (size_t i = 0; i < count; ++i)
  {
    kept.grey.push_back(e.pixels[i * size_t(channels) + size_t(channels / 2)]);
    kept.reference.push_back(e.labels[i] != 0 && e.labels[i] != 255 ? 1 : 0);
  }
  kept.prior.assign(e.prior, e.prior + count);
  if (e.refined)
  {
    kept.refined.assign(e.refined, e.refined + count);
  }
  return kept;
}

int
PanelWidth(const Kept & e)
{
  return std::clamp(e.width * panelHeight / e.height, 60, 4 * panelHeight);
}

void
DrawPanel(Canvas & canvas, const Kept & e, int x)
{
  const Frame        frame{ x, margin + line, PanelWidth(e), panelHeight };
  std::vector<float> sorted = e.grey;
  std::sort(sorted.begin(), sorted.end());
  const float low = sorted[sorted.size() / 100];
  const float high = sorted[sorted.size() - 1 - sorted.size() / 100];
  canvas.Image(frame, { e.grey.data(), e.width, e.height, low, high > low ? high : low + 1.0F });
  DrawOutline(canvas, { e.reference.data(), e.width, e.height }, frame, green, 2.0);
  DrawOutline(canvas, { e.prior.data(), e.width, e.height }, frame, yellow, 1.2);
  if (!e.refined.empty())
  {
    DrawOutline(canvas, { e.refined.data(), e.width, e.height }, frame, red, 1.2);
  }
  canvas.Text(x, margin, e.title, white, 13);
}

void
DrawAll(const std::string & path, const std::vector<Kept> & examples)
{
  int width = margin;
  for (const Kept & e : examples)
  {
    width += std::max(PanelWidth(e), Canvas::TextWidth(e.title, 13)) + margin;
  }
  Canvas canvas(width, panelHeight + 2 * line + 2 * margin, black);
  int    x = margin;
  for (const Kept & e : examples)
  {
    DrawPanel(canvas, e, x);
    x += std::max(PanelWidth(e), Canvas::TextWidth(e.title, 13)) + margin;
  }
  const int y = panelHeight + line + 2 * margin;
  canvas.Text(margin, y, "reference", green, 13);
  canvas.Text(margin + 90, y, "prior", yellow, 13);
  canvas.Text(margin + 150, y, examples.front().refined.empty() ? "" : "one pass", red, 13);
  OutputFile file(path);
  WritePng(file, canvas.Width(), canvas.Height(), 3, canvas.Pixels());
}

} // namespace

struct Examples::State
{
  std::filesystem::path folder;
  std::vector<Kept>     kept;
  std::string           problem;

  void
  Take(const vdn_train_example & e)
  {
    if (e.number == 0)
    {
      kept.clear();
    }
    kept.push_back(Keep(e));
    if (e.number + 1 < e.count)
    {
      return;
    }
    std::filesystem::create_directories(folder);
    DrawAll((folder / Format("step-%06lld.png", (long long)e.step)).string(), kept);
  }

  // Called through C: nothing may be thrown, and a picture is no reason to end a training.
  static void
  Show(void * user, const vdn_train_example * example) noexcept
  {
    auto * state = static_cast<State *>(user);
    try
    {
      state->Take(*example);
    }
    catch (const std::exception & exception)
    {
      state->problem = exception.what();
    }
  }
};

void
Examples::Attach(vdn_train_options & options)
{
  options.example = State::Show;
  options.example_user = m_State.get();
}

Examples::Examples(const std::string & folder)
  : m_State(new State{ std::filesystem::path(folder) / "examples", {}, {} })
{}

} // namespace verdiff

#else

namespace verdiff
{

struct Examples::State
{
  std::string problem;
};

void
Examples::Attach(vdn_train_options &)
{}

Examples::Examples(const std::string &)
  : m_State(new State)
{}

} // namespace verdiff

#endif

namespace verdiff
{

Examples::~Examples() = default;

const std::string &
Examples::Problem() const
{
  return m_State->problem;
}

} // namespace verdiff
