// VerdiffEvaluate with maps of probability and uncertainty. Every number of its report is computed here a second time,
// from the definitions in Core/Eval/calibration.h and by the plainest means: all pairs of voxels for the band, a sort
// for the curve.
#include "support.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>

using namespace verdiff_test;
using Json = nlohmann::json;

namespace
{

constexpr long   nx = 7, ny = 13, nz = 11;
constexpr double spacing[3] = { 2.5, 0.8, 1.0 };
constexpr int    bins = 15;

struct Case
{
  std::string        name;
  std::vector<int>   reference; // labels
  std::vector<float> probability;
  std::vector<float> uncertainty;
};

// What can be scored of one case.
struct Trust
{
  double pixels[2][bins] = {}, confidence[2][bins] = {}, right[2][bins] = {}, squares[2] = {}; // all, band
  double dice = 0.0, uncertainty = 0.0;
};

size_t
At(long x, long y, long z)
{
  return size_t((z * ny + y) * nx + x);
}

// Voxels within five of the smallest voxels of one that has a face neighbour of the other class.
std::vector<bool>
Band(const std::vector<bool> & mask)
{
  struct Point
  {
    long x, y, z;
  };
  std::vector<Point> boundary;
  std::vector<bool>  band(mask.size(), false);
  const auto         inside = [](long x, long y, long z) {
    return x >= 0 && y >= 0 && z >= 0 && x < nx && y < ny && z < nz;
  };
  const auto each = [](auto call) {
    for (long z = 0; z < nz; ++z)
    {
      for (long y = 0; y < ny; ++y)
      {
        for (long x = 0; x < nx; ++x)
        {
          call(x, y, z);
        }
      }
    }
  };
  each([&](long x, long y, long z) {
    const long steps[6][3] = { { 1, 0, 0 }, { -1, 0, 0 }, { 0, 1, 0 }, { 0, -1, 0 }, { 0, 0, 1 }, { 0, 0, -1 } };
    bool       differs = false;
    for (const auto & s : steps)
    {
      differs = differs ||
                (inside(x + s[0], y + s[1], z + s[2]) && mask[At(x + s[0], y + s[1], z + s[2])] != mask[At(x, y, z)]);
    }
    if (differs)
    {
      boundary.push_back({ x, y, z });
    }
  });
  each([&](long x, long y, long z) {
    band[At(x, y, z)] = std::any_of(boundary.begin(), boundary.end(), [&](const Point & p) {
      const double dx = spacing[0] * double(x - p.x), dy = spacing[1] * double(y - p.y),
                   dz = spacing[2] * double(z - p.z);
      return std::sqrt(dx * dx + dy * dy + dz * dz) <= 5.0 * 0.8 + 1e-9;
    });
  });
  return band;
}

double
Entropy(double p)
{
  return p <= 0.0 || p >= 1.0 ? 0.0 : -p * std::log(p) - (1.0 - p) * std::log(1.0 - p);
}

Trust
TrustOf(const Case & one, bool ownUncertainty, int label)
{
  Trust             trust;
  const size_t      count = one.reference.size();
  std::vector<bool> truth(count), predicted(count);
  double            both = 0.0, either = 0.0;
  for (size_t i = 0; i < count; ++i)
  {
    truth[i] = label == 0 ? one.reference[i] != 0 : one.reference[i] == label;
    predicted[i] = one.probability[i] > 0.5F;
    both += truth[i] && predicted[i] ? 1.0 : 0.0;
    either += (truth[i] ? 1.0 : 0.0) + (predicted[i] ? 1.0 : 0.0);
  }
  trust.dice = 2.0 * both / either;
  const auto band = Band(truth);
  for (size_t i = 0; i < count; ++i)
  {
    const double p = double(one.probability[i]);
    const double confidence = std::max(p, 1.0 - p);
    const int    bin = std::clamp(int(std::ceil(confidence * bins)) - 1, 0, bins - 1);
    for (int part = 0; part < (band[i] ? 2 : 1); ++part)
    {
      trust.pixels[part][bin] += 1.0;
      trust.confidence[part][bin] += confidence;
      trust.right[part][bin] += truth[i] == predicted[i] ? 1.0 : 0.0;
      trust.squares[part] += (p - double(truth[i])) * (p - double(truth[i]));
    }
  }
  const auto around = Band(predicted);
  double     sum = 0.0, voxels = 0.0;
  for (size_t i = 0; i < count; ++i)
  {
    sum += around[i] ? (ownUncertainty ? double(one.uncertainty[i]) : Entropy(double(one.probability[i]))) : 0.0;
    voxels += around[i] ? 1.0 : 0.0;
  }
  trust.uncertainty = sum / voxels;
  return trust;
}

Trust
Pooled(const std::vector<Trust> & all)
{
  Trust pooled;
  for (const Trust & one : all)
  {
    for (int part = 0; part < 2; ++part)
    {
      pooled.squares[part] += one.squares[part];
      for (int m = 0; m < bins; ++m)
      {
        pooled.pixels[part][m] += one.pixels[part][m];
        pooled.confidence[part][m] += one.confidence[part][m];
        pooled.right[part][m] += one.right[part][m];
      }
    }
  }
  return pooled;
}

double
Ece(const Trust & trust, int part)
{
  const double all = std::accumulate(trust.pixels[part], trust.pixels[part] + bins, 0.0);
  double       ece = 0.0;
  for (int m = 0; m < bins; ++m)
  {
    const double n = trust.pixels[part][m];
    ece += n > 0.0 ? n / all * std::abs(trust.right[part][m] / n - trust.confidence[part][m] / n) : 0.0;
  }
  return ece;
}

double
Brier(const Trust & trust, int part)
{
  return trust.squares[part] / std::accumulate(trust.pixels[part], trust.pixels[part] + bins, 0.0);
}

void
ExpectCalibration(const Json & found, const Trust & expected)
{
  EXPECT_NEAR(found["ece"].get<double>(), Ece(expected, 0), 1e-9);
  EXPECT_NEAR(found["brier"].get<double>(), Brier(expected, 0), 1e-9);
  EXPECT_NEAR(found["ece_band"].get<double>(), Ece(expected, 1), 1e-9);
  EXPECT_NEAR(found["brier_band"].get<double>(), Brier(expected, 1), 1e-9);
}

double
Correlation(std::vector<double> x, std::vector<double> y)
{
  const auto centre = [](std::vector<double> & v) {
    const double mean = std::accumulate(v.begin(), v.end(), 0.0) / double(v.size());
    std::for_each(v.begin(), v.end(), [mean](double & value) { value -= mean; });
  };
  centre(x);
  centre(y);
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0) /
         std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0) *
                   std::inner_product(y.begin(), y.end(), y.begin(), 0.0));
}

std::vector<double>
Ranks(const std::vector<double> & values)
{
  std::vector<double> ranks;
  for (const double value : values)
  {
    const auto below = std::count_if(values.begin(), values.end(), [value](double v) { return v < value; });
    const auto same = std::count(values.begin(), values.end(), value);
    ranks.push_back(double(below) + 0.5 * double(same + 1));
  }
  return ranks;
}

// Mean risk of the first n by rising uncertainty, n = 1, 2, ...; those of one uncertainty have their mean risk.
std::vector<double>
Curve(const std::vector<double> & uncertainty, const std::vector<double> & risk)
{
  std::vector<std::pair<double, double>> order;
  for (size_t i = 0; i < risk.size(); ++i)
  {
    double sum = 0.0, same = 0.0;
    for (size_t j = 0; j < risk.size(); ++j)
    {
      sum += uncertainty[j] == uncertainty[i] ? risk[j] : 0.0;
      same += uncertainty[j] == uncertainty[i] ? 1.0 : 0.0;
    }
    order.emplace_back(uncertainty[i], sum / same);
  }
  std::sort(order.begin(), order.end());
  std::vector<double> curve;
  double              sum = 0.0;
  for (const auto & one : order)
  {
    sum += one.second;
    curve.push_back(sum / double(curve.size() + 1));
  }
  return curve;
}

double
Mean(const std::vector<double> & values)
{
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}

class Trusted : public testing::Test
{
protected:
  Trusted()
  {
    for (const char * part : { "truth", "mask", "p", "u" })
    {
      std::filesystem::create_directory(folder / part);
    }
    for (int c = 0; c < 7; ++c)
    {
      cases.push_back(Make(c));
      Write("truth", cases.back().name, [&](size_t i) { return float(cases.back().reference[i]); });
      Write("mask", cases.back().name, [&](size_t i) { return cases.back().probability[i] > 0.5F ? 1.0F : 0.0F; });
      Write("p", cases.back().name, [&](size_t i) { return cases.back().probability[i]; });
      Write("u", cases.back().name, [&](size_t i) { return cases.back().uncertainty[i]; });
    }
  }

  // Two touching boxes, labels 1 and 2, and a probability that misses them by more and more.
  static Case
  Make(int number)
  {
    Case         one{ "case" + std::to_string(number), {}, {}, {} };
    const double shift = 0.31 * double((number * 5) % 7);
    for (long z = 0; z < nz; ++z)
    {
      for (long y = 0; y < ny; ++y)
      {
        for (long x = 0; x < nx; ++x)
        {
          const bool in = x >= 2 && x <= 4 && y >= 3 && y <= 8;
          one.reference.push_back(!in ? 0 : (z >= 3 && z <= 5 ? 1 : (z >= 6 && z <= 7 ? 2 : 0)));
          const double r =
            std::hypot(0.5 * double(x - 3), 0.5 * (double(y) - 5.5 - shift), 0.7 * (double(z) - 5.0 + shift));
          const double noise = 0.4 * std::sin(1.7 * double(x) + 2.3 * double(y * number) + 0.9 * double(z));
          one.probability.push_back(float(1.0 / (1.0 + std::exp(3.0 * (r - 1.6 + noise)))));
          // Two cases with the same uncertainty everywhere; the others rise roughly with the shift.
          const double unsure = number < 2 ? 0.25 : 0.1 + 0.2 * shift + 0.05 * std::cos(double(y) + double(number * x));
          one.uncertainty.push_back(float(unsure));
        }
      }
    }
    return one;
  }

  void
  Write(const std::string & part, const std::string & name, const std::function<float(size_t)> & value)
  {
    size_t     at = 0;
    const auto image =
      MakeImage({ nx, ny, nz }, { spacing[0], spacing[1], spacing[2] }, { 0, 0, 0 }, identity, [&](const auto &) {
        return value(at++);
      });
    const std::string path = folder / (part + "/" + name);
    if (part == "truth" || part == "mask")
    {
      WriteWithItk<unsigned char>(path + ".nrrd", *image);
    }
    else
    {
      WriteWithItk<float>(path + ".mha", *image);
    }
  }

  Json
  Evaluated(const std::vector<std::string> & options)
  {
    std::vector<std::string> arguments = { folder / "truth", folder / "mask", "--report", folder / "r.json" };
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome outcome = RunTool("VerdiffEvaluate", arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    said = outcome.out;
    return Json::parse(ReadFile(folder / "r.json"))["calibration"];
  }

  void
  ExpectReport(const Json & found, bool ownUncertainty, int label)
  {
    std::vector<Trust>  trust;
    std::vector<double> uncertainty, risk;
    ASSERT_EQ(found["cases"].size(), cases.size());
    for (size_t i = 0; i < cases.size(); ++i)
    {
      trust.push_back(TrustOf(cases[i], ownUncertainty, label));
      uncertainty.push_back(trust.back().uncertainty);
      risk.push_back(1.0 - trust.back().dice);
      EXPECT_EQ(found["cases"][i]["case"], cases[i].name);
      EXPECT_NEAR(found["cases"][i]["dice"].get<double>(), trust.back().dice, 1e-12);
      EXPECT_NEAR(found["cases"][i]["uncertainty"].get<double>(), uncertainty.back(), 1e-6);
      ExpectCalibration(found["cases"][i], trust.back());
    }
    ExpectCalibration(found, Pooled(trust));
    const auto   curve = Curve(uncertainty, risk);
    const Json & selection = found["selection"];
    EXPECT_NEAR(selection["pearson"].get<double>(), Correlation(uncertainty, risk), 1e-6);
    EXPECT_NEAR(selection["spearman"].get<double>(), Correlation(Ranks(uncertainty), Ranks(risk)), 1e-9);
    EXPECT_NEAR(selection["aurc"].get<double>(), Mean(curve), 1e-9);
    EXPECT_NEAR(selection["best_aurc"].get<double>(), Mean(Curve(risk, risk)), 1e-9);
    for (size_t tenth = 1; tenth <= 10; ++tenth)
    {
      const size_t first = (tenth * cases.size() + 9) / 10;
      EXPECT_NEAR(selection["risk_at_coverage"][tenth - 1].get<double>(), curve[first - 1], 1e-9) << tenth;
    }
  }

  TempFolder        folder;
  std::vector<Case> cases;
  std::string       said;
};

} // namespace

TEST_F(Trusted, ProbabilityAndUncertaintyAreScoredByTheirDefinitions)
{
  const Json found = Evaluated({ "--probability", folder / "p", "--uncertainty", folder / "u" });
  ExpectReport(found, true, 0);
  // The data do tell: neither perfect nor constant, and the band differs from the whole.
  EXPECT_GT(found["ece"].get<double>(), 0.01);
  EXPECT_GT(std::abs(found["ece_band"].get<double>() - found["ece"].get<double>()), 1e-4);
  EXPECT_EQ(found["cases"][0]["uncertainty"], found["cases"][1]["uncertainty"]);
  EXPECT_GT(found["selection"]["aurc"].get<double>(), found["selection"]["best_aurc"].get<double>() + 1e-4);
  for (const char * words :
       { "ECE band", "uncertainty and 1 - Dice: Pearson ", "mean 1 - Dice of the surest cases: 10 %" })
  {
    EXPECT_NE(said.find(words), std::string::npos) << words;
  }
}

TEST_F(Trusted, WithoutAMapTheEntropyIsTheUncertainty)
{
  ExpectReport(Evaluated({ "--probability", folder / "p" }), false, 0);
}

TEST_F(Trusted, OneLabelIsScoredAlone)
{
  ExpectReport(Evaluated({ "--probability", folder / "p", "--labels", "2" }), false, 2);
}

TEST_F(Trusted, OneCaseHasNoSelection)
{
  const Outcome outcome = RunTool("VerdiffEvaluate",
                                  { folder / "truth/case3.nrrd",
                                    folder / "mask/case3.nrrd",
                                    "--probability",
                                    folder / "p/case3.mha",
                                    "--report",
                                    folder / "r.json" });
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json found = Json::parse(ReadFile(folder / "r.json"))["calibration"];
  ExpectCalibration(found, TrustOf(cases[3], false, 0));
  EXPECT_FALSE(found.contains("selection"));
}

TEST_F(Trusted, MapsThatAreNoneAreRefused)
{
  const auto refused = [&](const std::vector<std::string> & options, int code, const std::string & words) {
    std::vector<std::string> arguments = { folder / "truth", folder / "mask", "--report", folder / "no.json" };
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome outcome = RunTool("VerdiffEvaluate", arguments);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "no.json"));
  };
  const std::vector<std::string> maps = { "--probability", folder / "p", "--uncertainty", folder / "u" };
  refused({ "--uncertainty", folder / "u" }, 2, "--uncertainty needs --probability beside it");
  refused({ "--probability", folder / "none" }, 3, "none");
  Write("p", "case4", [](size_t i) { return i == 9 ? 1.25F : 0.5F; });
  refused(maps, 3, "voxel 9 has probability 1.25, needed 0 to 1");
  Write("p", "case4", [](size_t i) { return i == 9 ? std::numeric_limits<float>::quiet_NaN() : 0.5F; });
  refused(maps, 3, "case4.mha");
  Write("p", "case4", [](size_t) { return 0.5F; });
  WriteWithItk<float>(
    folder / "u/case5.mha",
    *MakeImage({ nx, ny, nz - 1 }, { 1, 1, 1 }, { 0, 0, 0 }, identity, [](const auto &) { return 0.5F; }));
  refused(maps, 3, "u/case5.mha: not on the grid of ");
  std::filesystem::remove(folder / "u/case5.mha");
  refused(maps, 3, "no map for case case5");
}
