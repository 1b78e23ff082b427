/* Multi-head self-attention inside square windows, which may be shifted cyclically, with a bias that
 * depends on the relative position. Liu et al. 2021, arXiv:2103.14030, equation 4 and figure 4.
 *
 * Windows of k x k pixels cut the image that is rolled by the shift s: its row r is row (r + s) mod h,
 * columns likewise. Along an axis that one window fills there is no shift. In the last windows of an axis
 * pixels from both ends meet; they do not see each other. For tokens i, j of one window, channels in
 * heads as in Ops/attention.h, t(i,j) = (yi - yj + k - 1)(2k - 1) + xi - xj + k - 1:
 *
 *     S[i,j] = q[i].k[j] / sqrt(d) + table[t(i,j), head]     lse[i] = log sum over j of exp S[i,j]
 *     P = exp(S - lse)                 o[i] = sum over j of P[i,j] v[j]
 *
 * Backward as in Ops/attention.h, and dtable[t, head] += sum of dS[i,j] over pairs with t(i,j) = t.
 *
 *  WINDOW_ATTENTION           in  qkv (n,h,w,3C), table (1,1,(2k-1)^2,heads) f32
 *                             out o (n,h,w,C), lse (n,h,w,heads) f32
 *  WINDOW_ATTENTION_BACKWARD  in  g (n,h,w,C), qkv, table, o, lse        out dqkv (n,h,w,3C), dtable
 *
 * k divides h and w. Activations f32 or bf16 each on its own; everything between is f32. Attributes:
 * kernel = k, 1 to VDNI_MAX_WINDOW; pad = s, 0 to k - 1; heads, with d between 1 and VDNI_MAX_HEAD. No slot
 * works in place. The bits do not depend on threads or batch, those of dtable on the batch alone. */
#ifndef VDNI_WINDOW_ATTENTION_H
#define VDNI_WINDOW_ATTENTION_H

#include "Ops/attention.h"

enum { VDNI_MAX_WINDOW = 8, VDNI_MAX_WINDOW_TOKENS = VDNI_MAX_WINDOW * VDNI_MAX_WINDOW };

/* Shift along an axis of @p extent pixels. */
static inline int64_t vdni_window_shift(const vdni_attr *a, int64_t extent)
{ return extent > a->kernel ? a->pad : 0; }

#endif
