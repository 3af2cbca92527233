package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.model.MlpForm;
import dev.bulkgen.tensor.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What becomes of a product's sums, and the launchers that choose it. */
class TestMatmulEpilogues {
  // Silu and gelu in float: a few units in the last place.
  private static final double ACTIVATION_ERROR = 0x1p-20;

  private static MatmulRig rig;

  @BeforeAll
  static void open() {
    rig = new MatmulRig();
  }

  @AfterEach
  void release() {
    rig.release();
  }

  @AfterAll
  static void close() {
    if (rig != null) {
      rig.close();
    }
  }

  @Test
  void testPublicLaunchersTakeTheirOwnPlan() {
    MatmulProblem problem = MatmulProblem.random(70, 144, 576);
    MatmulRig.Operands operands = MatmulForm.BF16_ONE.of(rig, problem);
    MatmulNeeds needs = operands.weight.needs(70, 1);
    DeviceMemory partials = rig.take(needs.partialBytes());
    DeviceMemory arrivals = rig.take((long) Integer.BYTES * needs.arrivals());
    rig.arrays.write(arrivals, new int[needs.arrivals()]);
    DeviceMemory out = rig.take((long) Float.BYTES * 70 * 144);
    DeviceMemory gated = rig.take((long) Short.BYTES * 70 * 128);
    MatmulKernels kernels = new MatmulKernels(rig.context, partials, arrivals);
    Pieces outPieces = Pieces.of(gated.address(), DType.BF16, 1, 70, 128);
    for (int rows : new int[] {70, 1, 20, 40, 70}) {
      kernels.store(rig.stream, operands.x, rows, operands.weight, out.address(), 144);
    }
    kernels.activate(rig.stream, operands.x, 70, operands.weight, MlpForm.SILU_GATED, outPieces);
    rig.stream.synchronize();
    float[] stored = rig.arrays.floats(out);
    MatmulForm.BF16_ONE.checkStored(problem, stored);
    checkActivated(
        MatmulForm.BF16_ONE, problem, MlpForm.SILU_GATED, rig.arrays.shorts(gated), 1, 128);
    kernels.add(rig.stream, operands.x, 70, operands.weight, out.address(), 144);
    rig.stream.synchronize();
    float[] doubled = rig.arrays.floats(out);
    for (int i = 0; i < stored.length; i++) {
      assertEquals(2 * stored[i], doubled[i]);
    }
  }

  @Test
  void testStoresKeepToTheColumns() {
    for (int outStride : new int[] {65, 66, 68, 80}) {
      MatmulProblem problem = MatmulProblem.random(18, 65, 64);
      MatmulRig.Operands operands = MatmulForm.BF16_ONE.of(rig, problem);
      float[] out = operands.store(operands.plan(18), 18, outStride);
      float[] packed = new float[18 * 65];
      for (int row = 0; row < 18; row++) {
        System.arraycopy(out, row * outStride, packed, row * 65, 65);
        for (int column = 65; column < outStride; column++) {
          assertTrue(Float.isNaN(out[row * outStride + column]), "written beyond the columns");
        }
      }
      MatmulForm.BF16_ONE.checkStored(problem, packed);
    }
  }

  @ParameterizedTest
  @EnumSource(MatmulForm.class)
  void testAddsToWhatIsThere(MatmulForm form) {
    for (int columns : new int[] {7, 68, 200}) {
      for (MatmulProblem problem :
          List.of(
              MatmulProblem.random(17, columns, 576),
              MatmulProblem.random(3, columns, 128).withoutBias())) {
        float[] before = new float[problem.rows() * columns];
        for (int i = 0; i < before.length; i++) {
          before[i] = i % 13 - 6;
        }
        float[] actual = form.of(rig, problem).add(before);
        MatmulProblem reference = form.reference(problem);
        for (int i = 0; i < actual.length; i++) {
          MatmulProblem.Sum sum = reference.sum(i / columns, i % columns);
          double expected = before[i] + sum.value();
          double bound = form.bound(sum) + 0x1p-21;
          MatmulForm.check(problem, i / columns, i % columns, actual[i], expected, bound);
        }
      }
    }
  }

  static Stream<Arguments> activations() {
    List<Arguments> all = new ArrayList<>();
    for (MatmulForm form : MatmulForm.values()) {
      for (MlpForm mlp : MlpForm.values()) {
        all.add(Arguments.of(form, mlp));
      }
    }
    return all.stream();
  }

  @ParameterizedTest
  @MethodSource("activations")
  void testActivations(MatmulForm form, MlpForm mlp) {
    boolean gated = mlp == MlpForm.SILU_GATED;
    int[][] shapes = {{1, gated ? 16 : 7, 128}, {17, gated ? 144 : 130, 576}, {65, 208, 64}};
    for (int[] shape : shapes) {
      MatmulProblem problem = MatmulProblem.random(shape[0], shape[1], shape[2]);
      int width = gated ? shape[1] / 2 : shape[1];
      for (int outPieces = 1; outPieces <= 2; outPieces++) {
        // What the next product reads, and a stride with which nothing is aligned.
        int outStride = outPieces == 1 ? MatmulTile.ceilDiv(width, 64) * 64 : width + 3;
        short[] out = form.of(rig, problem).activate(mlp, outPieces, outStride);
        checkActivated(form, problem, mlp, out, outPieces, outStride);
      }
    }
  }

  private static void checkActivated(
      MatmulForm form, MatmulProblem problem, MlpForm mlp, short[] out, int pieces, int stride) {
    MatmulProblem reference = form.reference(problem);
    int width = mlp == MlpForm.SILU_GATED ? problem.columns() / 2 : problem.columns();
    double unit = form.type == DType.BF16 ? 0x1p-8 : 0x1p-11;
    for (int row = 0; row < problem.rows(); row++) {
      for (int column = 0; column < stride; column++) {
        float actual = 0;
        for (int piece = 0; piece < pieces; piece++) {
          int at = (piece * problem.rows() + row) * stride + column;
          actual += MatmulRig.toFloat(out[at], form.type);
        }
        if (column >= width) {
          assertEquals(0, actual, "padding");
          continue;
        }
        Activated expected = Activated.of(reference, mlp, form, row, column);
        double rounding = pieces == 1 ? unit : unit * unit;
        double bound = expected.bound + 1.01 * rounding * Math.abs(expected.value) + 0x1p-24;
        MatmulForm.check(problem, row, column, actual, expected.value, bound);
      }
    }
  }

  /** What an activation gives in double precision, and how far errors of the sums carry. */
  private record Activated(double value, double bound) {
    // Of silu and gelu.
    private static final double STEEPEST = 1.13;

    static Activated of(MatmulProblem problem, MlpForm mlp, MatmulForm form, int row, int column) {
      if (mlp != MlpForm.SILU_GATED) {
        MatmulProblem.Sum sum = problem.sum(row, column);
        double value = mlp == MlpForm.GELU ? gelu(sum.value()) : geluTanh(sum.value());
        return new Activated(
            value, STEEPEST * form.bound(sum) + ACTIVATION_ERROR * Math.abs(sum.value()));
      }
      MatmulProblem.Sum gate = problem.sum(row, column / 8 * 16 + column % 8);
      MatmulProblem.Sum up = problem.sum(row, column / 8 * 16 + column % 8 + 8);
      double silu = gate.value() / (1 + Math.exp(-gate.value()));
      double siluBound = STEEPEST * form.bound(gate) + ACTIVATION_ERROR * Math.abs(gate.value());
      return new Activated(
          silu * up.value(),
          siluBound * Math.abs(up.value()) + form.bound(up) * (Math.abs(silu) + siluBound));
    }

    private static double geluTanh(double x) {
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
    }

    private static double gelu(double x) {
      return 0.5 * x * (1 + erf(x / Math.sqrt(2)));
    }

    // erf(x) = 2 / √π · exp(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (2n + 1)!! (Abramowitz and Stegun, 7.1.6).
    private static double erf(double x) {
      if (Math.abs(x) > 6) {
        return Math.signum(x);
      }
      double term = x;
      double sum = x;
      for (int n = 1; n < 400; n++) {
        term *= 2 * x * x / (2 * n + 1);
        sum += term;
      }
      return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
    }
  }
}
