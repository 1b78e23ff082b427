/* NSA, the noise semantic adapter at the entry of every diffusion encoder level. Section 2.4 and
 * equations 15-16 of the paper; Large Selective Kernel block (Li et al. 2023). Design: model.md 2.6.
 *
 *     n = GN(u)                         F = g DW3(n) + (1-g) DW5(n)       S = DW7,dil3(F)
 *     F' = Conv1(F)  S' = Conv1(S)      T = sigmoid(Conv7([mean_c, max_c] of [F', S']))
 *     out = u + lambda (Conv1(F' T_0 + S' T_1) n)
 *
 * The gate g comes from the prior: 1 where 5 x 5 prior pixels at this level hold a fifth of mask; with
 * nsa sk from the features: g = sigmoid(Conv1(n)), learned. */
#ifndef VDNI_NSA_H
#define VDNI_NSA_H

#include "Net/blocks.h"

/* @p gate (n,h,w,1) f32 from vdni_nsa_gate; without gates (nsa k3, k5: F is the one kernel; nsa sk)
 * there is none. nsa_shared: T has one channel, used twice. nsa_literal: n = u, and V n is the result.
 * Parameters "<prefix>.*". */
vdni_id vdni_nsa(vdni_graph *g, const char *prefix, const vdni_config *config, vdni_id u,
                 vdni_id gate);

/* g = min(1, o / 0.2) (mask_soft) or 1 where o >= 0.02 (mask_hard), o = 5x5 mean of the ds x ds mean
 * of @p foreground (n,H,W,1) f32. model.md 2.6. The result carries no gradient. */
vdni_id vdni_nsa_gate(vdni_graph *g, const vdni_config *config, vdni_id foreground, int32_t ds);

#endif
