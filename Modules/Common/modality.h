// Which normalisation an image needs.
#pragma once

#include "volume.h"

#include <string>

namespace verdiff
{

struct ModalityChoice
{
  vdn_modality modality = VDN_MODALITY_MR;
  std::string  reason; // "stated by --modality", "DICOM Modality", "intensities from -1024 to 2976"
};

/// @param stated  "auto", "mr", "ct" or "xray"
ModalityChoice
ChooseModality(const Volume & volume, const std::string & stated);

/// "mr", "ct" or "xray".
const char *
ModalityName(vdn_modality modality);

} // namespace verdiff
