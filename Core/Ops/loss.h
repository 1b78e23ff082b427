/* Losses with their gradients, one number per image.
 *
 * SEGMENTATION_LOSS: mask logits s against class labels y (model.md 1.6, 4.1). With p = sigmoid(s)
 * for k = 1 and softmax(s) over the k channels otherwise, m the target (k = 1: m = y; k > 1:
 * one-hot of y), N valid pixels of the image, w = weights[n,0] and c[] the class weights (1 when
 * absent):
 *
 *     simple = 1/(N k) sum over pixels and channels of 4 w (m - p)^2        min-SNR squared error
 *     ce     = sum of c[y] (1 - q)^f CE(s, y) / Z                  size-adaptive cross entropy
 *              CE = max(s,0) - m s + log(1 + exp(-|s|))  (k = 1),  -log p[y]  (k > 1)
 *              q = exp(-CE), the probability given to y (Lin et al. 2017, arXiv:1708.02002); f = 0
 *              leaves the factor out;  Z = sum of c[y], or N in mode VDNI_LOSS_PER_PIXEL
 *     dice   = mean over channels (k = 1) or channels 1..k-1 (k > 1) of 1 - A/Q,
 *              A = 2 sum p m + 1,  Q = sum p + sum m + 1
 *     total  = lambda[0] simple + lambda[1] ce + lambda[2] dice
 *
 * Gradient, all multiplied by weights[n,1]: with
 *     h[j] = lambda[0] 8 w (p[j] - m[j]) / (N k) - lambda[2] (2 m[j] Q[j] - A[j]) / (Q[j]^2 channels)
 *     k = 1:  ds    = lambda[1] c[y] F (p - m) / Z + p (1 - p) h
 *     k > 1:  ds[j] = lambda[1] c[y] F (p[j] - m[j]) / Z + p[j] (h[j] - sum over i of p[i] h[i])
 *             F = (1 - q)^f - f q (1 - q)^(f-1) log q
 *
 * A pixel is valid when y < max(k, 2); labels above that, 255 by convention, are padding or
 * "ignore": they count nowhere and have ds = 0. An image without valid pixels has total 0 and ds 0.
 *
 *  in   s (n,h,w,k) f32, target (n,h,w,1) u8, weights (n,1,1,2) f32 = [w, scale of the gradient],
 *       class_weights? (1 or n,1,1,max(k,2)) f32: the same for all images or each its own
 *  out  ds (n,h,w,k) f32, terms (n,1,1,4) f32 = [total, simple, ce, dice], not scaled
 *  attributes: lambda; scale = f, 0 or above; mode (vdni_loss_mode)
 *
 * NOISE_LOSS: equations 8 and 9 of the paper as printed (model.md 1.4 point 5, mode paper_literal),
 * one raw output z for both terms, the noise eps being real:
 *
 *     mse = mean of (eps - z)^2      bce = mean of log(1 + exp z) - eps z      total = mse + bce
 *     dz  = weights[n,1] (2 (z - eps) + sigmoid(z) - eps) / (N k)
 *
 *  in   z (n,h,w,k) f32, eps like z, target (n,h,w,1) u8 (valid unless 255), weights (n,1,1,2) f32
 *  out  dz like z, terms (n,1,1,4) f32 = [total, mse, bce, 0]
 *
 * Sums run in double over fixed pieces of each image: no bit depends on threads or batch. */
#ifndef VDNI_LOSS_H
#define VDNI_LOSS_H

#include "Ops/op.h"
#include "Tensor/pad.h" /* VDNI_LABEL_IGNORE */

enum { VDNI_LOSS_MAX_CHANNELS = 64 };

/* What the weighted cross entropy is divided by: model.md 4.1 divides by the weights of the image;
 * weights whose mean is 1 over more than the image are divided by its pixels. */
typedef enum { VDNI_LOSS_PER_WEIGHT = 0, VDNI_LOSS_PER_PIXEL } vdni_loss_mode;

#endif
