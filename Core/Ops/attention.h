/* Multi-head self-attention over the pixels of an image. Vaswani et al. 2017, arXiv:1706.03762, eq. 1;
 * computed over tiles of keys with a running maximum (Dao et al. 2022, arXiv:2205.14135), so that no
 * L x L matrix exists.
 *
 * L = h w tokens, C = c/3 channels in heads of d = C/heads channels; head a reads channels a d + [0, d)
 * of each of the three parts [q | k | v] of qkv. For every image and head:
 *
 *     S[i,j] = q[i].k[j] / sqrt(d)     lse[i] = log sum over j of exp S[i,j]
 *     P = exp(S - lse)                 o[i] = sum over j of P[i,j] v[j]
 *
 * Backward, g = dL/do:  D[i] = g[i].o[i],  dS[i,j] = P[i,j] (g[i].v[j] - D[i])
 *
 *     dq[i] = sum over j of dS[i,j] k[j] / sqrt(d)     dk[j] = sum over i of dS[i,j] q[i] / sqrt(d)
 *     dv[j] = sum over i of P[i,j] g[i]
 *
 *  ATTENTION           in  qkv (n,h,w,3C)                       out o (n,h,w,C), lse (n,1,heads,L) f32
 *  ATTENTION_BACKWARD  in  g (n,h,w,C), qkv, o, lse             out dqkv (n,h,w,3C)
 *
 * qkv, o, g and dqkv may be f32 or bf16, each on its own; everything between is f32. With o in bf16 D
 * carries its rounding. Attributes: heads, with d between 1 and VDNI_MAX_HEAD. No slot works in
 * place. The bits do not depend on threads or batch. */
#ifndef VDNI_ATTENTION_H
#define VDNI_ATTENTION_H

#include "Ops/op.h"

enum { VDNI_MAX_HEAD = 128 };

#endif
