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
import java.util.Arrays;
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

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 15, 16, 17, 32, 33, 63, 64, 65, 129, 300})
  void testRowsAndColumnsOfAnyNumber(int rows) {
    for (int columns : COLUMNS) {
      for (int depth : DEPTHS) {
        MatmulProblem problem = MatmulProblem.random(rows, columns, depth);
        MatmulRig.Operands operands = MatmulForm.BF16_ONE.of(rig, problem);
        MatmulForm.BF16_ONE.checkStored(
            problem, operands.store(operands.plan(rows), rows, columns));
        rig.release();
      }
    }
  }

  @ParameterizedTest
  @EnumSource(MatmulForm.class)
  void testFormatsAndPieces(MatmulForm form) {
    for (int rows : new int[] {1, 17, 65}) {
      for (int columns : new int[] {7, 64, 129}) {
        MatmulProblem problem = MatmulProblem.random(rows, columns, 576);
        MatmulRig.Operands operands = form.of(rig, problem);
        form.checkStored(problem, operands.store(operands.plan(rows), rows, columns));
      }
    }
  }

  /** Plans that a kernel of every tile runs, where splits stand side by side and where not. */
  static Stream<Arguments> plans() {
    return Stream.of(
        Arguments.of(MatmulForm.BF16_ONE, MatmulTile.ROWS16, 2),
        Arguments.of(MatmulForm.BF16_ONE, MatmulTile.ROWS32, 2),
        Arguments.of(MatmulForm.BF16_ONE, MatmulTile.ROWS64, 2),
        Arguments.of(MatmulForm.BF16_ONE, MatmulTile.ROWS128, 2),
        Arguments.of(MatmulForm.BF16_ONE, MatmulTile.ROWS128, 1),
        Arguments.of(MatmulForm.BF16_ONE, MatmulTile.WIDE, 1),
        Arguments.of(MatmulForm.FP16_ONE, MatmulTile.WIDE, 1),
        Arguments.of(MatmulForm.FP16_ONE, MatmulTile.ROWS16, 2),
        Arguments.of(MatmulForm.FP16_ONE, MatmulTile.ROWS64, 2),
        Arguments.of(MatmulForm.FP16_ONE, MatmulTile.ROWS128, 1),
        Arguments.of(MatmulForm.BF16_BOTH, MatmulTile.PIECES16, 2),
        Arguments.of(MatmulForm.BF16_BOTH, MatmulTile.PIECES64, 2),
        Arguments.of(MatmulForm.BF16_BOTH, MatmulTile.PIECES64, 1),
        Arguments.of(MatmulForm.FP16_X, MatmulTile.PIECES16, 2),
        Arguments.of(MatmulForm.FP16_X, MatmulTile.PIECES64, 1));
  }

  /** P1: the bits of a row are those it has alone. */
  @ParameterizedTest
  @MethodSource("plans")
  void testBitsOfARowDoNotDependOnTheKernel(MatmulForm form, MatmulTile tile, int splitBlocks) {
    int columns = 140;
    MatmulProblem problem = MatmulProblem.random(300, columns, 576);
    MatmulRig.Operands operands = form.of(rig, problem);
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
    MatmulProblem problem = MatmulProblem.random(140, 300, 832);
    MatmulRig.Operands operands = MatmulForm.BF16_ONE.of(rig, problem);
    float[] expected = operands.store(operands.plan(140), 140, 300);
    MatmulForm.BF16_ONE.checkStored(problem, expected);
    for (int blocks : new int[] {1, 3, 5}) {
      MatmulPlan plan = new MatmulPlan(MatmulTile.WIDE, blocks, 3, 1);
      assertArrayEquals(expected, operands.store(plan, 140, 300), blocks + " blocks");
    }
    // Were the order of sums another, bits would tell.
    MatmulPlan unsplit = new MatmulPlan(MatmulTile.WIDE, 4, 1, 1);
    assertFalse(Arrays.equals(expected, operands.store(unsplit, 140, 300)));
  }

  /** P1 with one split. */
  @ParameterizedTest
  @EnumSource(
      value = MatmulForm.class,
      names = {"BF16_ONE", "FP16_ONE"})
  void testBitsWithOneSplit(MatmulForm form) {
    MatmulProblem problem = MatmulProblem.random(150, 261, 192);
    MatmulRig.Operands operands = form.of(rig, problem);
    float[] expected = operands.store(operands.plan(150), 150, 261);
    form.checkStored(problem, expected);
    for (MatmulTile tile : MatmulTile.values()) {
      float[] actual = operands.store(operands.plan(tile, 150, 1), 150, 261);
      assertArrayEquals(expected, actual, tile.name());
    }
  }

  @Test
  void testARowThatIsNotFiniteStaysAlone() {
    MatmulProblem problem = MatmulProblem.random(20, 65, 128);
    MatmulRig.Operands sound = MatmulForm.BF16_ONE.of(rig, problem);
    float[] expected = sound.store(sound.plan(20), 20, 65);
    problem.x()[3 * 128 + 5] = Float.NaN;
    problem.x()[16 * 128 + 127] = Float.POSITIVE_INFINITY;
    MatmulRig.Operands broken = MatmulForm.BF16_ONE.of(rig, problem);
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

  @Test
  void testOperandsThatDoNotFitAreRefused() {
    MatmulProblem problem = MatmulProblem.random(4, 24, 128);
    MatmulRig.Operands operands = MatmulForm.BF16_ONE.of(rig, problem);
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
    MatmulRig.Operands operands = MatmulForm.BF16_ONE.of(rig, MatmulProblem.random(4, 24, 576));
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
