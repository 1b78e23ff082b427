/* Distances between the surfaces of two masks on one grid. Design: model.md 6.
 *
 * A surface voxel belongs to its mask and has a face neighbour that does not; beyond the image nothing
 * belongs, but an axis of one voxel has no neighbours (a 2D image is depth 1); the only
 * voxel of an image is its surface. Distances are Euclidean
 * between voxel centres, exact for any spacing: the separable lower-envelope transform of Felzenszwalb
 * and Huttenlocher 2012, doi 10.4086/toc.2012.v008a019. */
#ifndef VDNI_SURFACE_H
#define VDNI_SURFACE_H

#include "Base/context.h"

typedef struct vdni_surface_score {
    double
        hd95_mm; /* larger of the two directed 95th percentiles (linear between ranks, as numpy) */
    double mean_mm; /* mean over the surface voxels of both masks of the distance to the other */
    int64_t reference_voxels, prediction_voxels; /* on the surfaces */
} vdni_surface_score;

/**
 * Compare where @p reference == @p label with where @p prediction == @p label.
 *
 * @param reference, prediction  size[0] * size[1] * size[2] values, the last axis fastest.
 * @param spacing_mm             of the three axes, above 0.
 * @return VDN_OK, with both distances NaN when either mask is empty; VDN_ERR_ARGUMENT (a size below 1,
 *         a spacing not above 0); VDN_ERR_MEMORY: about 6 bytes per voxel of the box around both masks.
 */
VDN_MUST_USE vdn_status vdni_surface_labels(vdn_ctx *ctx, vdni_surface_score *out,
                                            const uint16_t *reference, const uint16_t *prediction,
                                            const int64_t size[3], const double spacing_mm[3],
                                            uint16_t label);

#endif
