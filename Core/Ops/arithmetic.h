/* Element-wise products and sums, with maps per pixel and vectors per channel.
 *
 *  ADD       y = a + b                                                in place: y may be a
 *            in  a, b (n,h,w,c)                                   out y (n,h,w,c)
 *  PRODUCT   y = u + lambda[c] v n; without lambda it is 1, without u it is 0
 *            in  v, n (n,h,w,c), lambda? (1,1,1,c) f32, u? (n,h,w,c)      out y
 *  PRODUCT_BACKWARD   dv = g lambda n,  dn = g lambda v,  dlambda += sum over n, h, w of g v n
 *            (du = g needs no operator)
 *            in  g, v, n, lambda?                                 out dv, dn, dlambda? (1,1,1,c) f32
 *  GATE      y = a t0 + b t1, the maps t0, t1 being the channels of t, or both its only one
 *            in  a, b (n,h,w,c), t (n,h,w,2) or (n,h,w,1)         out y
 *  GATE_BACKWARD      da = g t0,  db = g t1,  dt0 = sum over c of g a,  dt1 = sum over c of g b;
 *            with one map dt = dt0 + dt1
 *            in  g, a, b, t                                       out da, db, dt like t
 *  MIX       y = m a + (1 - m) b
 *            in  a, b (n,h,w,c), m (n,h,w,1)                      out y
 *  MIX_BACKWARD       da = m g,  db = (1 - m) g; m gets no gradient
 *            in  g, m                                             out da, db
 *  MODULATE  y = x (1 + s[n,c]) + t[n,c], mod = the c scales s, then the c shifts t;
 *            with c values only mod = t and y = x + t, or, in mode VDNI_MODULATE_SCALE, mod = a
 *            and y = x a[n,c]
 *            in  x (n,h,w,c), mod (n,1,1,2c) or (n,1,1,c) f32     out y
 *  MODULATE_BACKWARD  dx = g (1 + s) + addend,  ds = sum over h, w of g x,  dt = sum over h, w of g;
 *            in mode VDNI_MODULATE_SCALE dx = g a + addend,  da = sum over h, w of g x
 *            in  g, x, mod, addend? (n,h,w,c)                     out dx, dmod like mod, overwritten
 *
 *  BIAS      y = x + b[c]
 *            in  x (n,h,w,c), b (1,1,1,c) f32                     out y
 *  BIAS_BACKWARD      db += sum over n, h, w of g (dx = g needs no operator)
 *            in  g (n,h,w,c)                                      out db (1,1,1,c) f32
 *
 * Where no type is named: f32 or bf16, each on its own, but in place y has the type of a. Only ADD
 * and MIX work in place. Attributes: mode (MODULATE and its gradient), else none. */
#ifndef VDNI_ARITHMETIC_H
#define VDNI_ARITHMETIC_H

#include "Ops/op.h"

/* MODULATE: how mod is read. SCALE has c values. */
typedef enum { VDNI_MODULATE_SHIFT = 0, VDNI_MODULATE_SCALE } vdni_modulate_mode;

#endif
