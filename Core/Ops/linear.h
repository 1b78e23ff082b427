/* Linear layer on one vector per image.
 *
 *     y[n,o] = b[o] + sum over i of x[n,i] * w[o,i]
 *
 * Backward, g = dL/dy:
 *
 *     dx[n,i]  = addend[n,i] + sum over o of g[n,o] * w[o,i]
 *     dw[o,i] += sum over n of g[n,o] * x[n,i]
 *     db[o]   += sum over n of g[n,o]
 *
 *  LINEAR     in  x (n,1,1,ci), w (co,1,1,ci), b? (1,1,1,co)        out y (n,1,1,co)
 *  LINEAR_DX  in  g (n,1,1,co), w, addend? (n,1,1,ci)               out dx (n,1,1,ci)
 *  LINEAR_DW  in  x, g                                              out dw (co,1,1,ci), db? (1,1,1,co)
 *
 * Everything is f32. No attributes. No slot works in place. */
#ifndef VDNI_LINEAR_H
#define VDNI_LINEAR_H

#include "Ops/op.h"

#endif
