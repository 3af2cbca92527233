package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.tensor.DType;
import java.util.ArrayList;
import java.util.Arrays;
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
import org.junit.jupiter.params.provider.ValueSource;

class TestMatmulKernels {
  private static final int[] COLUMNS = {1, 7, 8, 63, 64, 65, 127, 129, 200};
  private static final int[] DEPTHS = {64, 128, 576};

  // Of the sum of magnitudes: float sums of up to 576 products in some order.
  private static final double SUM_ERROR = 0x1p-20;
  // What two roundings leave of an operand, twice, and the product of the rests.
  private static final double BFLOAT_PIECES_ERROR = 3 * 0x1p-16;
  private static final double HALF_PIECES_ERROR = 0x1p-20;
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

  /** The pieces of operands. */
  private enum Form {
    BF16_ONE(DType.BF16, 1, 1),
    BF16_X(DType.BF16, 2, 1),
    BF16_WEIGHT(DType.BF16, 1, 2),
    BF16_BOTH(DType.BF16, 2, 2),
    FP16_ONE(DType.F16, 1, 1),
    FP16_X(DType.F16, 2, 1);

    final DType type;
    final int xPieces;
    final int weightPieces;

    Form(DType type, int xPieces, int weightPieces) {
      this.type = type;
      this.xPieces = xPieces;
      this.weightPieces = weightPieces;
    }

    MatmulRig.Operands of(MatmulProblem problem) {
      return rig.new Operands(problem, type, xPieces, weightPieces);
    }

    MatmulProblem reference(MatmulProblem problem) {
      return problem.rounded(type, xPieces, weightPieces);
    }

    double bound(MatmulProblem.Sum sum) {
      double pieces = type == DType.BF16 ? BFLOAT_PIECES_ERROR : HALF_PIECES_ERROR;
      return sum.magnitude() * (SUM_ERROR + (xPieces * weightPieces > 1 ? pieces : 0)) + 0x1p-22;
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 15, 16, 17, 32, 33, 63, 64, 65, 129, 300})
  void testRowsAndColumnsOfAnyNumber(int rows) {
    for (int columns : COLUMNS) {
      for (int depth : DEPTHS) {
        MatmulProblem problem = MatmulProblem.random(rows, columns, depth);
        MatmulRig.Operands operands = Form.BF16_ONE.of(problem);
        checkStored(Form.BF16_ONE, problem, operands.store(operands.plan(rows), rows, columns));
        rig.release();
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Form.class)
  void testFormatsAndPieces(Form form) {
    for (int rows : new int[] {1, 17, 65}) {
      for (int columns : new int[] {7, 64, 129}) {
        MatmulProblem problem = MatmulProblem.random(rows, columns, 576);
        MatmulRig.Operands operands = form.of(problem);
        checkStored(form, problem, operands.store(operands.plan(rows), rows, columns));
      }
    }
  }

  private static void checkStored(Form form, MatmulProblem problem, float[] actual) {
    MatmulProblem reference = form.reference(problem);
    for (int row = 0; row < problem.rows(); row++) {
      for (int column = 0; column < problem.columns(); column++) {
        MatmulProblem.Sum sum = reference.sum(row, column);
        double bound = form.bound(sum);
        check(problem, row, column, actual[row * problem.columns() + column], sum.value(), bound);
      }
    }
  }

  private static void check(
      MatmulProblem problem, int row, int column, float actual, double expected, double bound) {
    // A comparison that NaN fails.
    if (!(Math.abs(actual - expected) <= bound)) {
      throw new AssertionError(
          String.format(
              "%d x %d x %d, row %d, column %d: %s, expected %s within %s",
              problem.rows(),
              problem.columns(),
              problem.depth(),
              row,
              column,
              actual,
              expected,
              bound));
    }
  }

  /** Plans that a kernel of every tile runs, where splits stand side by side and where not. */
  static Stream<Arguments> plans() {
    return Stream.of(
        Arguments.of(Form.BF16_ONE, MatmulTile.ROWS16, 2),
        Arguments.of(Form.BF16_ONE, MatmulTile.ROWS32, 2),
        Arguments.of(Form.BF16_ONE, MatmulTile.ROWS64, 2),
        Arguments.of(Form.BF16_ONE, MatmulTile.ROWS128, 2),
        Arguments.of(Form.BF16_ONE, MatmulTile.ROWS128, 1),
        Arguments.of(Form.BF16_ONE, MatmulTile.WIDE, 1),
        Arguments.of(Form.FP16_ONE, MatmulTile.WIDE, 1),
        Arguments.of(Form.FP16_ONE, MatmulTile.ROWS16, 2),
        Arguments.of(Form.FP16_ONE, MatmulTile.ROWS64, 2),
        Arguments.of(Form.FP16_ONE, MatmulTile.ROWS128, 1),
        Arguments.of(Form.BF16_BOTH, MatmulTile.PIECES16, 2),
        Arguments.of(Form.BF16_BOTH, MatmulTile.PIECES64, 2),
        Arguments.of(Form.BF16_BOTH, MatmulTile.PIECES64, 1),
        Arguments.of(Form.FP16_X, MatmulTile.PIECES16, 2),
        Arguments.of(Form.FP16_X, MatmulTile.PIECES64, 1));
  }

  /** P1: the bits of a row are those it has alone. */
  @ParameterizedTest
  @MethodSource("plans")
  void testBitsOfARowDoNotDependOnTheKernel(Form form, MatmulTile tile, int splitBlocks) {
    int columns = 200;
    MatmulProblem problem = MatmulProblem.random(300, columns, 576);
    MatmulRig.Operands operands = form.of(problem);
    assertEquals(2, operands.plan(1).splits());
    float[] alone = operands.store(operands.plan(1), 1, columns);
    float[] batch = operands.store(operands.plan(300), 300, columns);
    assertArrayEquals(alone, Arrays.copyOf(batch, columns));
    for (int rows : new int[] {1, 7, 64, 300}) {
      float[] actual = operands.store(operands.plan(tile, rows, splitBlocks), rows, columns);
      assertArrayEquals(Arrays.copyOf(batch, rows * columns), actual, rows + " rows");
    }
  }

  /**
   * P1 where the blocks of the widest tile take tile after tile and carry totals of three splits.
   */
  @Test
  void testBitsWhereBlocksCarryTotals() {
    MatmulProblem problem = MatmulProblem.random(270, 400, 832);
    MatmulRig.Operands operands = Form.BF16_ONE.of(problem);
    float[] expected = operands.store(operands.plan(270), 270, 400);
    checkStored(Form.BF16_ONE, problem, expected);
    for (int blocks : new int[] {1, 2, 4, 6, 7}) {
      MatmulPlan plan = new MatmulPlan(MatmulTile.WIDE, blocks, 3, 1);
      assertArrayEquals(expected, operands.store(plan, 270, 400), blocks + " blocks");
    }
    // Were the order of sums another, bits would tell.
    MatmulPlan unsplit = new MatmulPlan(MatmulTile.WIDE, 6, 1, 1);
    assertFalse(Arrays.equals(expected, operands.store(unsplit, 270, 400)));
  }

  /** P1 with one split. */
  @ParameterizedTest
  @EnumSource(
      value = Form.class,
      names = {"BF16_ONE", "FP16_ONE"})
  void testBitsWithOneSplit(Form form) {
    MatmulProblem problem = MatmulProblem.random(150, 261, 192);
    MatmulRig.Operands operands = form.of(problem);
    float[] expected = operands.store(operands.plan(150), 150, 261);
    checkStored(form, problem, expected);
    for (MatmulTile tile : MatmulTile.values()) {
      float[] actual = operands.store(operands.plan(tile, 150, 1), 150, 261);
      assertArrayEquals(expected, actual, tile.name());
    }
  }

  @Test
  void testPublicLaunchersTakeTheirOwnPlan() {
    MatmulProblem problem = MatmulProblem.random(70, 144, 576);
    MatmulRig.Operands operands = Form.BF16_ONE.of(problem);
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
    checkStored(Form.BF16_ONE, problem, stored);
    checkActivated(Form.BF16_ONE, problem, MlpForm.SILU_GATED, rig.arrays.shorts(gated), 1, 128);
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
      MatmulRig.Operands operands = Form.BF16_ONE.of(problem);
      float[] out = operands.store(operands.plan(18), 18, outStride);
      float[] packed = new float[18 * 65];
      for (int row = 0; row < 18; row++) {
        System.arraycopy(out, row * outStride, packed, row * 65, 65);
        for (int column = 65; column < outStride; column++) {
          assertTrue(Float.isNaN(out[row * outStride + column]), "written beyond the columns");
        }
      }
      checkStored(Form.BF16_ONE, problem, packed);
    }
  }

  @Test
  void testARowThatIsNotFiniteStaysAlone() {
    MatmulProblem problem = MatmulProblem.random(20, 65, 128);
    MatmulRig.Operands sound = Form.BF16_ONE.of(problem);
    float[] expected = sound.store(sound.plan(20), 20, 65);
    problem.x()[3 * 128 + 5] = Float.NaN;
    problem.x()[16 * 128 + 127] = Float.POSITIVE_INFINITY;
    MatmulRig.Operands broken = Form.BF16_ONE.of(problem);
    float[] actual = broken.store(broken.plan(20), 20, 65);
    for (int row = 0; row < 20; row++) {
      for (int i = row * 65; i < (row + 1) * 65; i++) {
        if (row == 3 || row == 16) {
          assertTrue(!Float.isFinite(actual[i]));
        } else {
          assertEquals(expected[i], actual[i]);
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Form.class)
  void testAddsToWhatIsThere(Form form) {
    for (int columns : new int[] {7, 68, 200}) {
      for (MatmulProblem problem :
          List.of(
              MatmulProblem.random(17, columns, 576),
              MatmulProblem.random(3, columns, 128).withoutBias())) {
        float[] before = new float[problem.rows() * columns];
        for (int i = 0; i < before.length; i++) {
          before[i] = i % 13 - 6;
        }
        float[] actual = form.of(problem).add(before);
        MatmulProblem reference = form.reference(problem);
        for (int i = 0; i < actual.length; i++) {
          MatmulProblem.Sum sum = reference.sum(i / columns, i % columns);
          double expected = before[i] + sum.value();
          double bound = form.bound(sum) + 0x1p-21;
          check(problem, i / columns, i % columns, actual[i], expected, bound);
        }
      }
    }
  }

  static Stream<Arguments> activations() {
    List<Arguments> all = new ArrayList<>();
    for (Form form : Form.values()) {
      for (MlpForm mlp : MlpForm.values()) {
        all.add(Arguments.of(form, mlp));
      }
    }
    return all.stream();
  }

  @ParameterizedTest
  @MethodSource("activations")
  void testActivations(Form form, MlpForm mlp) {
    boolean gated = mlp == MlpForm.SILU_GATED;
    int[][] shapes = {{1, gated ? 16 : 7, 128}, {17, gated ? 144 : 130, 576}, {65, 208, 64}};
    for (int[] shape : shapes) {
      MatmulProblem problem = MatmulProblem.random(shape[0], shape[1], shape[2]);
      int width = gated ? shape[1] / 2 : shape[1];
      for (int outPieces = 1; outPieces <= 2; outPieces++) {
        // What the next product reads, and a stride with which nothing is aligned.
        int outStride = outPieces == 1 ? MatmulTile.ceilDiv(width, 64) * 64 : width + 3;
        short[] out = form.of(problem).activate(mlp, outPieces, outStride);
        checkActivated(form, problem, mlp, out, outPieces, outStride);
      }
    }
  }

  private static void checkActivated(
      Form form, MatmulProblem problem, MlpForm mlp, short[] out, int pieces, int stride) {
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
        check(problem, row, column, actual, expected.value, bound);
      }
    }
  }

  /** What an activation gives in double precision, and how far errors of the sums carry. */
  private record Activated(double value, double bound) {
    // Of silu and gelu.
    private static final double STEEPEST = 1.13;

    static Activated of(MatmulProblem problem, MlpForm mlp, Form form, int row, int column) {
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

  @Test
  void testOperandsThatDoNotFitAreRefused() {
    MatmulProblem problem = MatmulProblem.random(4, 24, 128);
    MatmulRig.Operands operands = Form.BF16_ONE.of(problem);
    Pieces half = Pieces.of(operands.x.address(), DType.F16, 1, 4, 128);
    Pieces shallow = Pieces.of(operands.x.address(), DType.BF16, 1, 8, 64);
    DeviceMemory out = rig.take(4096);
    MatmulKernels kernels = new MatmulKernels(rig.context, out, out);
    refused(() -> kernels.store(rig.stream, half, 4, operands.weight, out.address(), 24));
    refused(() -> kernels.store(rig.stream, shallow, 4, operands.weight, out.address(), 24));
    refused(() -> kernels.store(rig.stream, operands.x, 4, operands.weight, out.address(), 23));
    refused(() -> kernels.store(rig.stream, operands.x, 0, operands.weight, out.address(), 24));
    Pieces gated = Pieces.of(out.address(), DType.BF16, 1, 4, 64);
    refused(
        () ->
            kernels.activate(
                rig.stream, operands.x, 4, operands.weight, MlpForm.SILU_GATED, gated));
    refused(() -> new DeviceMatrix(Pieces.of(out.address(), DType.BF16, 1, 4, 96), 4, 0));
    refused(() -> new DeviceMatrix(Pieces.of(out.address() + 2, DType.BF16, 1, 4, 64), 4, 0));
  }

  @Test
  void testTooLittleScratchMemoryIsRefused() {
    MatmulRig.Operands operands = Form.BF16_ONE.of(MatmulProblem.random(4, 24, 576));
    DeviceMemory out = rig.take(4096);
    DeviceMemory little = rig.take(64);
    MatmulKernels kernels = new MatmulKernels(rig.context, little, little);
    refused(() -> kernels.store(rig.stream, operands.x, 4, operands.weight, out.address(), 24));
  }

  private static void refused(Runnable launch) {
    BulkgenException e = assertThrows(BulkgenException.class, launch::run);
    assertEquals(ErrorCode.INTERNAL, e.code());
  }
}
