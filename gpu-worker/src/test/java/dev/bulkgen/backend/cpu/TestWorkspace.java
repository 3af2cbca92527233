package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.cache.CacheCodec;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorKind;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.tensor.DType;
import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The memory plan counts on these figures. */
class TestWorkspace {
  static Stream<Arguments> shapes() {
    return Stream.of(
            CachePolicy.FP16,
            new CachePolicy.Kivi(2, 2, 32, 128, 0),
            new CachePolicy.Kivi(4, 2, 48, 4080, 96))
        .flatMap(
            policy ->
                Stream.of(
                    Arguments.of(policy, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, 20, 1, 3, 10),
                    Arguments.of(
                        policy, BlockForm.PARALLEL_TWO_NORMS, MlpForm.GELU, 64, 3, 7, 1000)));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void contextsMayBeLongerThanASteps(
      CachePolicy policy,
      BlockForm block,
      MlpForm mlp,
      int headDim,
      int threads,
      int slots,
      int prefillTokens)
      throws IllegalAccessException {
    ModelConfig model = model(block, mlp, headDim);
    CacheLayout layout = CacheLayout.of(policy, model);
    for (int context : new int[] {prefillTokens, 3001, 40_000}) {
      CacheCapacity capacity = new CacheCapacity(64, slots, prefillTokens, context, 40, 30, 2);
      Workspace workspace = new Workspace(new WorkspaceShape(model, layout, capacity, threads));
      assertEquals(
          arrayBytes(workspace), CpuBackend.workspaceBytes(model, layout, capacity, threads));
    }
  }

  private static ModelConfig model(BlockForm block, MlpForm mlp, int headDim) {
    RandomModels.Form form = new RandomModels.Form(4, 2, headDim, block, mlp, false, 0, DType.BF16);
    return RandomModels.make(form, 1).config();
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void bytesAreThoseOfTheArrays(
      CachePolicy policy,
      BlockForm block,
      MlpForm mlp,
      int headDim,
      int threads,
      int slots,
      int prefillTokens)
      throws IllegalAccessException {
    ModelConfig model = model(block, mlp, headDim);
    CacheLayout layout = CacheLayout.of(policy, model);
    CacheCapacity capacity = new CacheCapacity(64, slots, prefillTokens);
    Workspace workspace = new Workspace(new WorkspaceShape(model, layout, capacity, threads));
    assertEquals(
        arrayBytes(workspace), CpuBackend.workspaceBytes(model, layout, capacity, threads));
  }

  @Test
  void moreThanAnArrayHoldsIsRefused() {
    ModelConfig model =
        RandomModels.make(
                new RandomModels.Form(
                    4, 4, 64, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 0, DType.BF16),
                1)
            .config();
    BulkgenException refused =
        assertThrows(
            BulkgenException.class, () -> WorkspaceShape.length("prompt keys", 1 << 20, 1 << 20));
    assertEquals(ErrorKind.RESOURCE, refused.kind());
    assertTrue(refused.getMessage().contains("prompt keys"));
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, model);
    CacheCapacity capacity = new CacheCapacity(1, 1, 1 << 28);
    assertTrue(CpuBackend.workspaceBytes(model, layout, capacity, 1) > 1L << 36);
  }

  /** Bytes of all arrays an object of this package reaches by its fields. */
  private static long arrayBytes(Object object) throws IllegalAccessException {
    long bytes = 0;
    for (Field field : object.getClass().getDeclaredFields()) {
      if (Modifier.isStatic(field.getModifiers()) || field.getType().isPrimitive()) {
        continue;
      }
      field.setAccessible(true);
      Object value = field.get(object);
      if (value instanceof Object[] objects) {
        for (Object element : objects) {
          bytes += arrayBytes(element);
        }
      } else if (value != null && value.getClass().isArray()) {
        int width = value instanceof short[] ? 2 : 4;
        bytes += (long) width * Array.getLength(value);
      } else if (value instanceof CacheWriter
          || value != null && value.getClass().getSimpleName().equals("CodedStage")) {
        bytes += arrayBytes(value);
      } else if (value instanceof CacheCodec) {
        bytes += arrayBytes(value);
      }
    }
    return bytes;
  }
}
