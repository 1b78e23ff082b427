#include "modality.h"

#include "text.h"

#include <algorithm>
#include <cmath>

namespace verdiff
{

const char *
ModalityName(vdn_modality modality)
{
  switch (modality)
  {
    case VDN_MODALITY_CT:
      return "ct";
    case VDN_MODALITY_XRAY:
      return "xray";
    default:
      return "mr";
  }
}

// Hounsfield units: whole numbers with air far below zero. MR and X-ray have no such values.
static ModalityChoice
FromIntensities(const Volume & volume)
{
  const float * pixels = volume.image->GetBufferPointer();
  const size_t  count = volume.image->GetBufferedRegion().GetNumberOfPixels();
  const auto    range = std::minmax_element(pixels, pixels + count);
  const float   low = *range.first;
  const float   high = *range.second;
  size_t        whole = 0;
  for (size_t i = 0; i < count; ++i)
  {
    whole += pixels[i] == std::floor(pixels[i]) ? 1 : 0;
  }
  const std::string seen = "intensities from " + FormatNumber(double(low)) + " to " + FormatNumber(double(high));
  // Resampled CT is no longer whole, but its range still is that of CT.
  if (low <= -500.0f && low >= -10000.0f && high <= 40000.0f && (whole == count || (low >= -1100.0f && high >= 300.0f)))
  {
    return { VDN_MODALITY_CT, seen };
  }
  if (volume.fileDimension == 2)
  {
    return { VDN_MODALITY_MR, "2D image that states none; MR and X-ray are normalised alike" };
  }
  return { VDN_MODALITY_MR, seen };
}

ModalityChoice
ChooseModality(const Volume & volume, const std::string & stated)
{
  if (stated == "mr")
  {
    return { VDN_MODALITY_MR, "stated" };
  }
  if (stated == "ct")
  {
    return { VDN_MODALITY_CT, "stated" };
  }
  if (stated == "xray")
  {
    return { VDN_MODALITY_XRAY, "stated" };
  }
  if (volume.modality)
  {
    return { *volume.modality, "DICOM Modality" };
  }
  return FromIntensities(volume);
}

} // namespace verdiff
