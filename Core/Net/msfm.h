/* MSFM, the multi-scale fusion module: three receptive fields, chosen per channel by attention.
 * Equations 11-14 and figure 4 of the paper; Selective Kernel networks (Li et al. 2019). Design:
 * model.md 2.4.
 *
 *     U_k = ReLU(Norm(Conv_kxk b)), k = 3, 5, 7        s = GAP(U_3 + U_5 + U_7)
 *     z = ELU(LN(W_z s))    [A; B; C] z -> softmax over the three -> X = a U_3 + b U_5 + c U_7
 *
 * GAP is linear, so s is the sum of three pooled vectors and U_3 + U_5 + U_7 never exists. */
#ifndef VDNI_MSFM_H
#define VDNI_MSFM_H

#include "Net/blocks.h"

/* @p image (n,h,w,Cb) of the activation type -> (n,h,w,channels). Parameters "<prefix>.*". */
vdni_id vdni_msfm(vdni_graph *g, const char *prefix, vdni_id image, int64_t channels,
                  const vdni_config *config);

#endif
