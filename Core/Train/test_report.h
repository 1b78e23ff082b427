/* The scores of the test slices as JSON: test.json of Resources/Formats/training-log.md. */
#ifndef VDNI_TEST_REPORT_H
#define VDNI_TEST_REPORT_H

#include "Eval/overlap.h"

/* What answers for a slice, and by what its uncertainty is told. */
enum { VDNI_PRIOR, VDNI_ONE_PASS, VDNI_ENSEMBLE, VDNI_METHODS };
enum { VDNI_BY_ENTROPY, VDNI_BY_INFORMATION, VDNI_UNCERTAINTIES };

/* One slice as one method sees it; definitions in Eval/calibration.h. */
typedef struct vdni_slice_trust {
    vdn_calibration all, band;
    double uncertainty[VDNI_UNCERTAINTIES]; /* BY_INFORMATION of the ensemble only */
} vdni_slice_trust;

typedef struct vdni_test_results {
    int32_t methods, classes; /* classes: of the foreground */
    int64_t count;            /* slices */
    vdni_overlap *overlaps;   /* (method, class, slice) */
    vdni_slice_trust *trust;  /* (method, slice) */
    const char **subjects;    /* of each slice, "name/subject" when there are several data sets */
    const char (*class_name)[VDN_NAME_BYTES]; /* [1] is the first of the foreground */
} vdni_test_results;

/* Scores per slice and per subject, differences to the prior with their intervals, calibration and
 * selection, of all slices and of each data set by itself. Free *out with vdni_free. */
VDN_MUST_USE vdn_status vdni_test_report(vdn_ctx *ctx, char **out, const vdni_test_results *r);

#endif
