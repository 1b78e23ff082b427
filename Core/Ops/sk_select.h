/* Selection between three branches, per image and channel (Li et al. 2019, Selective kernel networks,
 * arXiv:1903.06586, section 3.1; the paper's equation 14).
 *
 *     a_k[n,c] = exp(l_k) / (exp(l_3) + exp(l_5) + exp(l_7)),   l_k = logits of branch k
 *     y[n,i,c] = a_3 u3[n,i,c] + a_5 u5[n,i,c] + a_7 u7[n,i,c]
 *
 * Backward, g = dL/dy:
 *
 *     du_k = a_k g,   da_k = sum over i of g u_k,   dl_k = a_k (da_k - sum over j of a_j da_j)
 *
 *  SK_SELECT           in  u3, u5, u7 (n,h,w,c), logits (n,1,1,3c) f32      out y (n,h,w,c)
 *  SK_SELECT_BACKWARD  in  g (n,h,w,c), u3, u5, u7, logits
 *                      out du3, du5, du7 (n,h,w,c), dlogits (n,1,1,3c) f32, overwritten
 *
 * logits: the c values of branch 3, then 5, then 7. Activations f32 or bf16 each on its own. In
 * place: y may be u3, with its type. No attributes. */
#ifndef VDNI_SK_SELECT_H
#define VDNI_SK_SELECT_H

#include "Ops/op.h"

#endif
