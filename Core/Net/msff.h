/* MSFF, multi-scale feature fusion at the bottleneck of the condition net: features of three
 * receptive fields and of the whole image, joined, weighted per channel and added to what came in.
 * Second paper (ICMLC 2023, doi 10.1145/3587716.3587777); its inside is our reading of the group's
 * earlier module (three 3x3 convolutions, attention). Design: model.md 4.2.
 *
 *     r = CNA1(x)  to q = C/4 channels;      CNA = convolution, norm, LeakyReLU
 *     cascade  u_1 = CNA3(r), u_2 = CNA3(u_1), u_3 = CNA3(u_2)          fields 3, 5, 7
 *     dilated  u_k = CNA3(r) with dilation 1, 2, 4
 *     aspp     u_k = CNA3(r) with dilation 6, 12, 18; r is the branch of rate 1
 *     v = ReLU(Linear GAP x)      y = GN(Conv1 [r, u_1, u_2, u_3, v])
 *     a = sigmoid(Linear ReLU Linear GAP y)      out = x + a y
 *
 * v is the same at every pixel, so Conv1 of it is one vector per image: a linear layer and a shift.
 * The norm behind it is a group norm whatever the condition net's is: one per channel and image would
 * take v out again. Parameters: 9 C q + 27 q^2 + 10 q + 3 C. */
#ifndef VDNI_MSFF_H
#define VDNI_MSFF_H

#include "Net/blocks.h"

/* @p x (n,h,w,C) -> the same shape. Parameters "<prefix>.*". config->msff is not NONE. */
vdni_id vdni_msff(vdni_graph *g, const char *prefix, vdni_id x, const vdni_config *config);

#endif
