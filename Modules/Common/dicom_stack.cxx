#include "dicom_stack.h"

#include "dicom_vectors.h"
#include "failure.h"
#include "text.h"

#include <algorithm>
#include <cmath>

namespace verdiff
{

using namespace dicom;

namespace
{

constexpr double gapTolerance = 0.01;     // of the mean gap; never below 0.01 mm
constexpr double tiltTolerance = 0.5;     // degrees between the stack and the slice normal
constexpr double roundingOfPlaces = 0.05; // mm over the whole stack

[[noreturn]] void
Refuse(const std::string & path, const std::string & reason)
{
  throw Failure(ExitCode::Input, path + ": " + reason);
}

// Axes of a slice as a right-handed orthonormal frame; refuses axes that are not nearly so.
void
SetAxes(DicomStack & stack, const DicomFrame & frame)
{
  const double a = Length(*frame.rowAxis);
  const double b = Length(*frame.columnAxis);
  const double angle = Dot(*frame.rowAxis, *frame.columnAxis);
  if (!(std::abs(a - 1.0) <= 0.01 && std::abs(b - 1.0) <= 0.01 && std::abs(angle) <= 0.01))
  {
    Refuse(frame.path,
           "ImageOrientationPatient is " + VectorText(*frame.rowAxis) + " " + VectorText(*frame.columnAxis) +
             ", must be two unit vectors at a right angle");
  }
  stack.row = Scaled(*frame.rowAxis, 1.0 / a);
  stack.normal = Cross(stack.row, *frame.columnAxis);
  stack.normal = Scaled(stack.normal, 1.0 / Length(stack.normal));
  stack.column = Cross(stack.normal, stack.row);
  stack.step = stack.normal;
  stack.oriented = true;
}

void
CheckPlaces(const DicomStack & stack)
{
  for (const DicomFrame & frame : stack.frames)
  {
    if (!frame.position || !frame.rowAxis)
    {
      Refuse(frame.path,
             "no ImagePositionPatient (0020,0032) or ImageOrientationPatient (0020,0037) for " + FrameName(frame) +
               "; slices without them cannot be put in order");
    }
  }
}

// Every gap the same, nothing twice.
void
CheckGaps(const std::string & path, DicomStack & stack)
{
  const auto height = [&](const DicomFrame & f) {
    return Dot(*f.position, stack.normal);
  };
  const size_t gaps = stack.frames.size() - 1;
  stack.gap = (height(stack.frames.back()) - height(stack.frames.front())) / static_cast<double>(gaps);
  double smallest = INFINITY;
  double largest = 0.0;
  size_t at = 0;
  for (size_t i = 0; i < gaps; ++i)
  {
    const double gap = height(stack.frames[i + 1]) - height(stack.frames[i]);
    if (gap < 1e-3)
    {
      Refuse(path,
             FrameName(stack.frames[i]) + " and " + FrameName(stack.frames[i + 1]) +
               " are at the same place (echoes, time points or copies); give a folder with one of each");
    }
    if (gap > largest)
    {
      largest = gap;
      at = i;
    }
    smallest = std::min(smallest, gap);
  }
  const double tolerance = std::max(gapTolerance * stack.gap, 0.01);
  if (largest - stack.gap > tolerance || stack.gap - smallest > tolerance)
  {
    Refuse(path,
           "uneven slices: gaps from " + FormatNumber(smallest) + " to " + FormatNumber(largest) +
             " mm (largest between " + FrameName(stack.frames[at]) + " and " + FrameName(stack.frames[at + 1]) +
             "), must agree to " + FormatNumber(tolerance, 3) + " mm; a slice may be missing");
  }
}

void
CheckTilt(const std::string & path, DicomStack & stack)
{
  const Vector3 along = Difference(*stack.frames.back().position, *stack.frames.front().position);
  const double  up = Dot(along, stack.normal);
  const double  aside = Length(Difference(along, Scaled(stack.normal, up)));
  const double  degrees = std::atan2(aside, up) * 180.0 / M_PI;
  if (degrees > tiltTolerance)
  {
    Refuse(path,
           "gantry tilt: the stack leans by " + FormatNumber(degrees, 3) + " degrees, at most " +
             FormatNumber(tiltTolerance) + " is accepted; resample it to upright slices first");
  }
  // Less than the gantry's tilt, but more than rounding: the grid follows the slices.
  if (aside > roundingOfPlaces)
  {
    stack.step = Scaled(along, 1.0 / Length(along));
    stack.gap = Length(along) / static_cast<double>(stack.frames.size() - 1);
  }
}

// Small differences between gaps must not add up to a shift.
void
CheckEveryPlace(const std::string & path, const DicomStack & stack)
{
  double largest = 0.0;
  size_t at = 0;
  for (size_t i = 0; i < stack.frames.size(); ++i)
  {
    const Vector3 offset = Difference(*stack.frames[i].position, *stack.frames.front().position);
    const double  shift = Length(Difference(offset, Scaled(stack.step, stack.gap * static_cast<double>(i))));
    at = shift > largest ? i : at;
    largest = std::max(largest, shift);
  }
  const double allowed = std::max(0.1 * stack.gap, 0.1);
  if (largest > allowed)
  {
    Refuse(path,
           "slices are shifted: " + FrameName(stack.frames[at]) + " is " + FormatNumber(largest, 3) +
             " mm from its place in an even stack, at most " + FormatNumber(allowed, 3) + " mm is accepted");
  }
}

} // namespace

DicomStack
MakeStack(const DicomGroup & group, const std::string & path)
{
  DicomStack stack;
  stack.frames = group.frames;
  if (stack.frames.size() == 1)
  {
    if (stack.frames[0].rowAxis && stack.frames[0].position)
    {
      SetAxes(stack, stack.frames[0]);
    }
    return stack;
  }
  CheckPlaces(stack);
  SetAxes(stack, stack.frames[0]);
  std::stable_sort(stack.frames.begin(), stack.frames.end(), [&](const DicomFrame & a, const DicomFrame & b) {
    return Dot(*a.position, stack.normal) < Dot(*b.position, stack.normal);
  });
  CheckGaps(path, stack);
  CheckTilt(path, stack);
  CheckEveryPlace(path, stack);
  return stack;
}

} // namespace verdiff
