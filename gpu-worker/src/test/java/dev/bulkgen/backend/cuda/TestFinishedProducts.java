package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Products of another library with our epilogues: here our own plain products stand for it, so that
 * the results have to have the bits of the kernels that do both at once.
 */
class TestFinishedProducts {
  private static final int DEPTH = 576;

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

  /** Our kernels, asked for products without a bias alone. */
  private static final class Plain implements PlainProducts {
    private final MatmulKernels kernels;
    private final DeviceMemory partials;
    private final DeviceMemory arrivals;
    private int stored;
    private int added;
    private boolean closed;

    Plain(CudaContext context) {
      partials = context.allocate(1 << 22, "partials");
      arrivals = new DeviceArrays(context).upload("arrivals", new int[1 << 10]);
      kernels = new MatmulKernels(context, partials, arrivals);
    }

    @Override
    public void store(
        CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride) {
      assertEquals(0, weight.bias());
      kernels.store(stream, x, rows, weight, out, outStride);
      stored++;
    }

    @Override
    public void add(
        CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride) {
      assertEquals(0, weight.bias());
      kernels.add(stream, x, rows, weight, out, outStride);
      added++;
    }

    @Override
    public void close() {
      closed = true;
      partials.close();
      arrivals.close();
    }
  }

  /** With room for three rows of sums, so that most go in parts. */
  private static FinishedProducts finished(Plain plain, int columns) {
    DeviceMemory sums = rig.take(3L * Float.BYTES * columns + 8);
    return new FinishedProducts(rig.context.kernels(), plain, sums);
  }

  @ParameterizedTest
  @CsvSource({"1, 7", "2, 256", "3, 257", "4, 64", "17, 300"})
  void testStoresAndAdds(int rows, int columns) {
    try (Plain plain = new Plain(rig.context)) {
      for (MatmulForm form : List.of(MatmulForm.BF16_ONE, MatmulForm.FP16_ONE)) {
        MatmulProblem biased = MatmulProblem.random(rows, columns, DEPTH);
        for (MatmulProblem problem : List.of(biased, biased.withoutBias())) {
          MatmulRig.Operands operands = form.of(rig, problem);
          float[] expected = operands.store(operands.plan(rows), rows, columns);
          form.checkStored(problem, expected);
          DeviceMemory out = rig.take((long) Float.BYTES * rows * columns);
          Products products = finished(plain, columns);
          products.store(rig.stream, operands.x, rows, operands.weight, out.address(), columns);
          rig.stream.synchronize();
          assertArrayEquals(expected, rig.arrays.floats(out));
          products.add(rig.stream, operands.x, rows, operands.weight, out.address(), columns);
          rig.stream.synchronize();
          assertArrayEquals(operands.add(expected), rig.arrays.floats(out));
        }
      }
      // Without a bias in one call, else in parts of three rows.
      assertEquals(2, plain.added);
      assertEquals(2 + 4 * ((rows + 2) / 3), plain.stored);
    }
  }

  @ParameterizedTest
  @EnumSource(MlpForm.class)
  void testActivates(MlpForm mlp) {
    try (Plain plain = new Plain(rig.context)) {
      for (MatmulForm form : List.of(MatmulForm.BF16_ONE, MatmulForm.FP16_ONE)) {
        for (int rows : new int[] {1, 3, 5}) {
          MatmulProblem problem = MatmulProblem.random(rows, 272, DEPTH);
          MatmulRig.Operands operands = form.of(rig, problem);
          int stride = mlp == MlpForm.SILU_GATED ? 192 : 320;
          DeviceMemory memory = rig.take((long) Short.BYTES * rows * stride);
          Pieces out = Pieces.of(memory.address(), form.type, 1, rows, stride);
          finished(plain, 272).activate(rig.stream, operands.x, rows, operands.weight, mlp, out);
          rig.stream.synchronize();
          assertArrayEquals(operands.activate(mlp, 1, stride), rig.arrays.shorts(memory));
        }
      }
    }
  }

  @Test
  void testMisfitsAreRefused() {
    try (Plain plain = new Plain(rig.context)) {
      MatmulRig.Operands operands = MatmulForm.BF16_ONE.of(rig, MatmulProblem.random(2, 96, 64));
      DeviceMemory memory = rig.take(1 << 12);
      Products products = finished(plain, 16);
      refused(
          "holds no row of 96 sums",
          () -> products.store(rig.stream, operands.x, 2, operands.weight, memory.address(), 96));
      Pieces narrow = Pieces.of(memory.address(), DType.BF16, 1, 2, 47);
      refused(
          "cannot take 48 columns",
          () ->
              products.activate(
                  rig.stream, operands.x, 2, operands.weight, MlpForm.SILU_GATED, narrow));
    }
  }

  private static void refused(String part, Runnable product) {
    BulkgenException error = assertThrows(BulkgenException.class, product::run);
    assertEquals(ErrorCode.INTERNAL, error.code());
    assertTrue(error.getMessage().contains(part), error.getMessage());
  }

  /** The whole backend: prompts go through the other library, tokens do not, and the bits stay. */
  @ParameterizedTest
  @EnumSource(MlpForm.class)
  void testABackendWithAnotherLibrary(MlpForm mlp) {
    ModelWeights weights =
        RandomModels.make(
            new RandomModels.Form(4, 2, 24, BlockForm.SEQUENTIAL, mlp, false, 0, DType.BF16), 3);
    float[][] expected = logits(CudaSessions.opener(Precision.ONE_PIECE), weights);
    Plain[] plain = new Plain[1];
    BackendSession.Opener foreign =
        (model, layout, capacity, threads) -> {
          CudaContext context = EmulatedDevice.open();
          return CudaBackend.open(
              context,
              model,
              layout,
              capacity,
              Precision.ONE_PIECE,
              GemmChoice.CUBLAS,
              () -> plain[0] = new Plain(context));
        };
    assertArrayEquals(expected, logits(foreign, weights));
    int layers = weights.layers().size();
    boolean biased = weights.layers().get(0).output().bias() != null;
    // Of a layer query, key and value, and up; and the two that add, if there is a bias to add too.
    assertEquals((biased ? 4 : 2) * layers, plain[0].stored);
    assertEquals((biased ? 0 : 2) * layers, plain[0].added);
    assertTrue(plain[0].closed);
  }

  private static float[][] logits(BackendSession.Opener opener, ModelWeights weights) {
    CacheLayout layout = CacheLayout.of(CachePolicy.KIVI2, weights.config());
    try (BackendSession session = new BackendSession(opener, weights, layout, 1, 100, 1, 0)) {
      SequenceCache cache = session.newSequence();
      int[] prompt = new int[80];
      for (int i = 0; i < prompt.length; i++) {
        prompt[i] = i * 7 % 60;
      }
      return new float[][] {
        session.step(cache, LogitsRequest.LAST, prompt).logits()[0],
        session.step(cache, LogitsRequest.LAST, 5).logits()[0]
      };
    }
  }

  @Test
  void testTwoPiecesAreRefused() {
    ModelWeights weights =
        RandomModels.make(
            new RandomModels.Form(
                4, 2, 24, BlockForm.SEQUENTIAL, MlpForm.GELU, false, 0, DType.F32),
            3);
    BackendSession.Opener cublas =
        (model, layout, capacity, threads) ->
            CudaBackend.open(
                EmulatedDevice.open(),
                model,
                layout,
                capacity,
                Precision.ONE_PIECE,
                GemmChoice.CUBLAS);
    BulkgenException error = assertThrows(BulkgenException.class, () -> logits(cublas, weights));
    assertEquals(ErrorCode.SETTING_INVALID, error.code());
    assertTrue(error.getMessage().contains("leave gemm at own"), error.getMessage());
  }
}
