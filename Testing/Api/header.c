/* vdn.h compiles as C11 with every warning on and is complete on its own. */
#include "vdn.h"

_Static_assert(VDN_OK == 0, "a status can be tested as a truth value");
_Static_assert(sizeof(vdn_status) == sizeof(int), "statuses cross the boundary as int");
_Static_assert(sizeof(VDN_VERSION) > 5, "a string");

/* A caller's view of each stage: these are the signatures, without a conversion. */
extern vdn_status (*const header_create)(vdn_ctx **, const vdn_ctx_options *);
extern vdn_status (*const header_segment)(vdn_ctx *, float *, float *, const vdn_slices *,
                                          const vdn_model *, const vdn_segment_options *);
vdn_status (*const header_create)(vdn_ctx **, const vdn_ctx_options *) = vdn_ctx_create;
vdn_status (*const header_segment)(vdn_ctx *, float *, float *, const vdn_slices *,
                                   const vdn_model *, const vdn_segment_options *) = vdn_segment;
