package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;

import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;
import java.util.Random;

/**
 * What the vectorized kernels are compared with the scalar ones on: one constant a kernel, each
 * with sizes around the edges of vectors, tiles and groups. Whole arrays are compared, so that a
 * write beside the result is found too.
 */
enum KernelCase {
  MATMUL {
    @Override
    void run(KernelPair pair) {
      for (DType dtype : new DType[] {DType.BF16, DType.F16, DType.F32}) {
        for (int cols : new int[] {1, 8, 15, 16, 17, 64, 80, 172}) {
          for (int rows : new int[] {1, 2, 3, 4, 5, 7, 8, 9, 15}) {
            product(pair, dtype, cols, rows, 1 + pair.random.nextInt(37));
          }
        }
        product(pair, dtype, 576, 9, 5);
        // Blocks of 32 rows, whole and filled up with zeros, and what is left beside them.
        for (int rows : new int[] {28, 29, 31, 32, 33, 40, 60, 61, 64}) {
          product(pair, dtype, 100, rows, 1 + pair.random.nextInt(37));
        }
        product(pair, dtype, 1600, 33, 17);
      }
      product(pair, DType.BF16, 576, 64, 19);
    }

    private void product(KernelPair pair, DType dtype, int cols, int rows, int outputs) {
      Random random = pair.random;
      int perSlice = 1 + random.nextInt(outputs);
      int slices = (outputs + perSlice - 1) / perSlice;
      int gap = perSlice + random.nextInt(3);
      MemoryTensor tensor = new MemoryTensor(dtype, 2 + gap * slices, cols);
      for (int i = 0; i < tensor.elementCount(); i++) {
        tensor.set(i, pair.value());
      }
      WeightMatrix weight = new WeightMatrix(tensor, 2, perSlice, gap, slices, cols);
      int pitch = (cols + LANES - 1) / LANES * LANES + LANES * random.nextInt(2);
      float[] x = new float[3 + rows * pitch];
      for (int m = 0; m < rows; m++) {
        pair.fill(x, 3 + m * pitch, cols);
      }
      int from = random.nextInt(outputs);
      float[] bias = random.nextBoolean() ? pair.floats(weight.rows()) : null;
      int outStride = weight.rows() + random.nextInt(5);
      pair.compare(
          this + " " + dtype + " cols " + cols + " rows " + rows + " from " + from + "/" + outputs,
          pair.floats(rows * outStride),
          (kernels, out) ->
              pair.product(
                  kernels, x, 3, pitch, rows, weight, from, outputs, bias, out, outStride));
    }
  },

  PANEL_MULTIPLY {
    @Override
    void run(KernelPair pair) {
      panels(pair, CpuKernels::panelMultiply);
    }
  },

  PANEL_ACCUMULATE {
    @Override
    void run(KernelPair pair) {
      panels(pair, CpuKernels::panelAccumulate);
    }
  },

  WIDEN_PANELS {
    @Override
    void run(KernelPair pair) {
      for (int width : new int[] {1, 8, 15, 16, 17, 64, 72, 128}) {
        for (int rows : new int[] {1, 2, 32}) {
          int panelStride = rows * LANES + 7;
          short[] halves = pair.halves(5 + rows * width);
          pair.compare(
              this + " width " + width + " rows " + rows,
              pair.floats(3 + (width + LANES - 1) / LANES * panelStride),
              (kernels, out) -> kernels.widenPanels(halves, 5, rows, width, out, 3, panelStride));
        }
      }
    }
  },

  RMS_NORM {
    @Override
    void run(KernelPair pair) {
      for (int width : WIDTHS) {
        float[] x = pair.floats(width + 3);
        float[] weight = pair.floats(width);
        pair.compare(
            this + " width " + width,
            pair.floats(width + 9),
            (kernels, out) -> kernels.rmsNorm(x, 3, width, weight, 1e-5f, out, 2));
      }
    }
  },

  LAYER_NORM {
    @Override
    void run(KernelPair pair) {
      for (int width : WIDTHS) {
        float[] x = pair.floats(width + 3);
        float[] weight = pair.floats(width);
        float[] bias = pair.floats(width);
        pair.compare(
            this + " width " + width,
            pair.floats(width + 9),
            (kernels, out) -> kernels.layerNorm(x, 3, width, weight, bias, 1e-5f, out, 2));
      }
    }
  },

  ADD {
    @Override
    void run(KernelPair pair) {
      for (int count : WIDTHS) {
        float[] y = pair.floats(count + 1);
        pair.compare(
            this + " " + count,
            pair.floats(count + 9),
            (kernels, x) -> kernels.add(x, 2, y, 1, count));
      }
    }
  },

  SILU_MULTIPLY {
    @Override
    void run(KernelPair pair) {
      for (int count : WIDTHS) {
        float[] up = pair.floats(count + 2);
        pair.compare(
            this + " " + count,
            pair.exponents(count + 9),
            (kernels, gate) -> kernels.siluMultiply(gate, up, 2, count));
      }
    }
  },

  GELU {
    @Override
    void run(KernelPair pair) {
      for (int count : WIDTHS) {
        pair.compare(
            this + " " + count,
            pair.exponents(count + 9),
            (kernels, x) -> kernels.gelu(x, 2, count));
      }
    }
  },

  GELU_TANH {
    @Override
    void run(KernelPair pair) {
      for (int count : WIDTHS) {
        pair.compare(
            this + " " + count,
            pair.exponents(count + 9),
            (kernels, x) -> kernels.geluTanh(x, 2, count));
      }
    }
  },

  EXP_AND_SUM {
    @Override
    void run(KernelPair pair) {
      for (int count : WIDTHS) {
        pair.compare(
            this + " " + count,
            pair.exponents(count + 9),
            (kernels, x) -> x[0] = kernels.expAndSum(x, 2, count, 1.5f));
      }
    }
  },

  MAX {
    @Override
    void run(KernelPair pair) {
      for (int count : WIDTHS) {
        pair.compare(
            this + " " + count,
            pair.exponents(count + 9),
            (kernels, x) -> x[0] = kernels.max(x, 2, count));
        float[] zeros = new float[count + 2];
        Arrays.fill(zeros, 2, count + 2, -0f);
        pair.compare(
            this + " of -0, " + count, zeros, (kernels, x) -> x[0] = kernels.max(x, 2, count));
      }
      pair.compare("MAX of none", new float[1], (kernels, x) -> x[0] = kernels.max(x, 0, 0));
    }
  },

  FP16_SCORES {
    @Override
    void run(KernelPair pair) {
      for (int headDim : HEAD_DIMS) {
        for (int heads = 1; heads <= 9; heads++) {
          int h = heads;
          int tiles = 1 + pair.random.nextInt(5);
          float[] q = pair.floats(heads * headDim);
          short[] keys = pair.halves(5 + tiles * headDim * LANES);
          int stride = tiles * LANES + 3;
          pair.compare(
              this + " headDim " + headDim + " heads " + heads + " tiles " + tiles,
              pair.floats(2 + heads * stride),
              (kernels, out) -> kernels.fp16Scores(q, h, headDim, keys, 5, tiles, out, 2, stride));
        }
      }
    }
  },

  CODED_SCORES {
    @Override
    void run(KernelPair pair) {
      for (int bits : new int[] {2, 4}) {
        for (int headDim : HEAD_DIMS) {
          for (int group : GROUPS) {
            int heads = 1 + pair.random.nextInt(8);
            int perWord = Integer.SIZE / bits;
            int rows = (headDim + perWord - 1) / perWord;
            float[] q = pair.floats(heads * headDim);
            int[] words = pair.random.ints(3 + rows * group).toArray();
            short[] scales = pair.halves(1 + headDim);
            short[] zeros = pair.halves(2 + headDim);
            int stride = group + 7;
            pair.compare(
                this
                    + " bits "
                    + bits
                    + " headDim "
                    + headDim
                    + " group "
                    + group
                    + " heads "
                    + heads,
                pair.floats(4 + heads * stride),
                (kernels, out) ->
                    kernels.codedScores(
                        q, heads, headDim, bits, group, words, 3, scales, 1, zeros, 2, out, 4,
                        stride));
          }
        }
      }
    }
  },

  FP16_VALUES {
    @Override
    void run(KernelPair pair) {
      for (int headDim : HEAD_DIMS) {
        for (int heads = 1; heads <= 9; heads++) {
          int h = heads;
          int tokens = pair.random.nextInt(70);
          float[] p = pair.floats(3 + heads * 80);
          short[] values = pair.halves(1 + tokens * headDim);
          int stride = headDim + 3;
          pair.compare(
              this + " headDim " + headDim + " heads " + heads + " tokens " + tokens,
              pair.floats(heads * stride),
              (kernels, out) ->
                  kernels.fp16Values(p, 3, 80, h, headDim, values, 1, tokens, out, stride));
        }
      }
    }
  },

  CODED_VALUES {
    @Override
    void run(KernelPair pair) {
      for (int bits : new int[] {2, 4}) {
        for (int headDim : HEAD_DIMS) {
          for (int group : GROUPS) {
            int heads = 1 + pair.random.nextInt(8);
            int tokens = 1 + pair.random.nextInt(64);
            values(pair, bits, headDim, group, heads, tokens);
          }
        }
      }
    }

    private void values(KernelPair pair, int bits, int headDim, int group, int heads, int tokens) {
      int perWord = Integer.SIZE / bits;
      int groups = (headDim + group - 1) / group;
      float[] p = pair.floats(3 + heads * 80);
      int[] words = pair.random.ints(2 + (tokens + perWord - 1) / perWord * headDim).toArray();
      short[] scales = pair.halves(1 + groups * 70);
      short[] zeros = pair.halves(2 + groups * 70);
      int stride = headDim + 3;
      int sums = heads * stride;
      // One array for both results: the sums of the zeros stand behind the output.
      pair.compare(
          this
              + " bits "
              + bits
              + " headDim "
              + headDim
              + " group "
              + group
              + " heads "
              + heads
              + " tokens "
              + tokens,
          pair.floats(sums + heads * groups),
          (kernels, out) -> {
            float[] zeroSums = Arrays.copyOfRange(out, sums, out.length);
            kernels.codedValues(
                p, 3, 80, heads, headDim, bits, group, words, 2, scales, 1, zeros, 2, 70, tokens,
                out, stride, zeroSums);
            System.arraycopy(zeroSums, 0, out, sums, zeroSums.length);
          });
    }
  },

  EVERY_HALF {
    @Override
    void run(KernelPair pair) {
      // Each of the 65,536 halves as a weight, infinities and NaN included.
      MemoryTensor tensor = new MemoryTensor(DType.F16, 1 << 12, LANES);
      for (int i = 0; i < 1 << 16; i++) {
        tensor.setBits(i, (short) i);
      }
      WeightMatrix weight = WeightMatrix.whole(tensor);
      for (int lane = 0; lane < LANES; lane++) {
        float[] x = new float[LANES];
        x[lane] = 1;
        pair.compare(
            this + " lane " + lane,
            new float[1 << 12],
            (kernels, out) ->
                pair.product(kernels, x, 0, LANES, 1, weight, 0, 1 << 12, null, out, 1 << 12));
      }
      short[] finite = new short[LANES];
      Arrays.fill(finite, Float16.fromFloat(0x1p-24f));
      pair.compare(
          this + " subnormal",
          new float[LANES],
          (kernels, out) -> kernels.fp16Scores(new float[] {1}, 1, 1, finite, 0, 1, out, 0, LANES));
    }
  };

  private static final int[] WIDTHS = {1, 8, 15, 16, 17, 31, 64, 72, 80, 96, 128, 172, 576};
  private static final int[] HEAD_DIMS = {8, 16, 64, 72, 80, 96, 128};
  private static final int[] GROUPS = {16, 32, 48, 64, 128};

  /** A product with panels. */
  private interface PanelProduct {
    void run(
        CpuKernels kernels,
        float[] a,
        int aOffset,
        int aStride,
        int rows,
        float[] b,
        int bOffset,
        int panelStride,
        int panels,
        int depth,
        float[] out,
        int outOffset,
        int outStride);
  }

  void panels(KernelPair pair, PanelProduct product) {
    for (int depth : new int[] {1, 8, 15, 16, 17, 64, 72, 128}) {
      for (int rows : new int[] {1, 2, 3, 4, 5, 9, 16}) {
        for (int panels : new int[] {1, 2, 3}) {
          int aStride = depth + 3;
          int stride = depth * LANES + LANES;
          int outStride = panels * LANES + 5;
          float[] a = pair.floats(2 + rows * aStride);
          float[] b = pair.floats(1 + panels * stride);
          pair.compare(
              this + " depth " + depth + " rows " + rows + " panels " + panels,
              pair.floats(3 + rows * outStride),
              (kernels, out) ->
                  product.run(
                      kernels, a, 2, aStride, rows, b, 1, stride, panels, depth, out, 3,
                      outStride));
        }
      }
    }
  }

  /** Compares the twins; throws an AssertionError that names the case and the seed. */
  abstract void run(KernelPair pair);
}
