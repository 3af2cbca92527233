package dev.bulkgen.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.DType;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TestWeightLoader {
  private static final String FUSED = "transformer.h.1.self_attention.query_key_value";

  @TempDir Path folder;

  private ModelWeights load(TinyCheckpoint tiny) {
    return ModelFolder.open(tiny.write(folder)).weights();
  }

  private String refusal(TinyCheckpoint tiny) {
    tiny.write(folder);
    ModelFolder model = ModelFolder.open(folder);
    BulkgenException e = assertThrows(BulkgenException.class, model::weights);
    assertEquals(ErrorCode.MODEL_CORRUPT, e.code());
    assertTrue(e.getMessage().contains(folder.toString()), e.getMessage());
    return e.getMessage();
  }

  /** Rows of a matrix, first element of each. */
  private static float[] firstColumn(ModelWeights.Linear linear) {
    float[] column = new float[linear.weight().rows()];
    for (int row = 0; row < column.length; row++) {
      linear.weight().tensor().readFloats(linear.weight().element(row), column, row, 1);
    }
    return column;
  }

  private static float[] range(int... fromTo) {
    int count = 0;
    for (int i = 0; i < fromTo.length; i += 2) {
      count += fromTo[i + 1] - fromTo[i];
    }
    float[] values = new float[count];
    int at = 0;
    for (int i = 0; i < fromTo.length; i += 2) {
      for (int v = fromTo[i]; v < fromTo[i + 1]; v++) {
        values[at++] = v;
      }
    }
    return values;
  }

  /** A fused tensor whose every element is the number of its row. */
  private static float[] rowNumbers(int rows, int columns) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = i / columns;
    }
    return values;
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"BF16", "F16", "F32"})
  void llamaLoadsInEveryElementType(DType dtype) {
    float[] query = rowNumbers(32, 32);
    ModelWeights weights =
        load(
            TinyCheckpoint.llama()
                .dtype(dtype)
                .tensor("model.layers.1.self_attn.q_proj.weight", query, 32, 32));
    ModelWeights.Layer layer = weights.layers().get(1);
    assertEquals(dtype, layer.query().weight().dtype());
    assertArrayEquals(range(0, 32), firstColumn(layer.query()));
    assertEquals(16, layer.key().weight().rows());
    assertEquals(TinyCheckpoint.INNER, layer.gate().weight().rows());
    assertEquals(TinyCheckpoint.INNER, layer.down().weight().cols());
    assertEquals(48, weights.head().weight().rows());
    assertEquals(48L * 32 * dtype.bytes(), weights.head().weight().bytes());
    assertNull(layer.query().bias());
    assertNull(layer.queryNorm());
    assertNull(layer.attentionNorm().bias());
  }

  @Test
  void qwen3HasHeadNormsAndItsOwnHeadSize() {
    ModelWeights weights = load(TinyCheckpoint.qwen3());
    ModelWeights.Layer layer = weights.layers().get(0);
    assertEquals(16, layer.queryNorm().weight().length);
    assertEquals(16, layer.keyNorm().weight().length);
    assertEquals(64, layer.query().weight().rows());
    assertEquals(64, layer.output().weight().cols());
    assertEquals(32, layer.output().weight().rows());
  }

  @Test
  void biasesAreRead() {
    float[] bias = range(0, 32);
    TinyCheckpoint qwen2 = TinyCheckpoint.gated("qwen2", "Qwen2ForCausalLM", 4, 2, 8);
    for (int i = 0; i < TinyCheckpoint.LAYERS; i++) {
      qwen2
          .tensor("model.layers." + i + ".self_attn.q_proj.bias", bias, 32)
          .tensor("model.layers." + i + ".self_attn.k_proj.bias", 16)
          .tensor("model.layers." + i + ".self_attn.v_proj.bias", 16);
    }
    ModelWeights.Layer layer = load(qwen2).layers().get(1);
    assertArrayEquals(bias, layer.query().bias());
    assertEquals(16, layer.value().bias().length);
    assertNull(layer.output().bias());
    assertNull(layer.down().bias());
  }

  @Test
  void groupedFalconInterleavesPerKvHead() {
    // Two K/V heads, each: query heads of rows 0-15, key 16-23, value 24-31 of its 32 rows.
    ModelWeights weights =
        load(TinyCheckpoint.falconGrouped().tensor(FUSED + ".weight", rowNumbers(64, 32), 64, 32));
    ModelWeights.Layer layer = weights.layers().get(1);
    assertArrayEquals(range(0, 16, 32, 48), firstColumn(layer.query()));
    assertArrayEquals(range(16, 24, 48, 56), firstColumn(layer.key()));
    assertArrayEquals(range(24, 32, 56, 64), firstColumn(layer.value()));
    assertNotNull(layer.mlpNorm().bias());
    assertNull(layer.gate());
    assertEquals(128, layer.up().weight().rows());
  }

  @Test
  void multiQueryFalconPutsKeyAndValueLast() {
    ModelWeights weights =
        load(
            TinyCheckpoint.falconMultiQuery()
                .tensor(FUSED + ".weight", rowNumbers(48, 32), 48, 32));
    ModelWeights.Layer layer = weights.layers().get(1);
    assertArrayEquals(range(0, 32), firstColumn(layer.query()));
    assertArrayEquals(range(32, 40), firstColumn(layer.key()));
    assertArrayEquals(range(40, 48), firstColumn(layer.value()));
    assertNull(layer.mlpNorm());
  }

  @Test
  void fusedBiasesAreTakenApartAsTheRowsAre() {
    TinyCheckpoint falcon = TinyCheckpoint.falconGrouped().set("bias", true);
    for (int i = 0; i < TinyCheckpoint.LAYERS; i++) {
      String layer = "transformer.h." + i + ".";
      falcon
          .tensor(layer + "self_attention.query_key_value.bias", range(0, 64), 64)
          .tensor(layer + "self_attention.dense.bias", 32)
          .tensor(layer + "mlp.dense_h_to_4h.bias", 128)
          .tensor(layer + "mlp.dense_4h_to_h.bias", 32);
    }
    ModelWeights.Layer layer = load(falcon).layers().get(0);
    assertArrayEquals(range(0, 16, 32, 48), layer.query().bias());
    assertArrayEquals(range(16, 24, 48, 56), layer.key().bias());
    assertArrayEquals(range(24, 32, 56, 64), layer.value().bias());
    assertEquals(128, layer.up().bias().length);
  }

  @Test
  void listsMissingExtraAndMisshapenTensorsAtOnce() {
    String told =
        refusal(
            TinyCheckpoint.llama()
                .without("model.layers.0.mlp.up_proj.weight")
                .without("model.norm.weight")
                .tensor("model.layers.1.self_attn.k_proj.weight", 32, 32)
                .tensor("model.layers.2.input_layernorm.weight", 32)
                .tensor("model.layers.0.self_attn.q_proj.bias", 32));
    assertTrue(
        told.contains("2 tensors missing: model.layers.0.mlp.up_proj.weight, model.norm.weight"),
        told);
    assertTrue(told.contains("k_proj.weight has the shape [32, 32] instead of [16, 32]"), told);
    assertTrue(
        told.contains(
            "2 tensors not part of such a model: model.layers.0.self_attn.q_proj.bias,"
                + " model.layers.2.input_layernorm.weight"),
        told);
  }

  @Test
  void anUntiedHeadMustBeThere() {
    assertTrue(
        refusal(TinyCheckpoint.llama().without("lm_head.weight")).contains("lm_head.weight"));
  }

  @Test
  void whatNothingReadsIsHarmless() {
    ModelWeights weights =
        load(
            TinyCheckpoint.llama()
                .set("tie_word_embeddings", true)
                .tensor("model.layers.0.self_attn.rotary_emb.inv_freq", 4));
    assertEquals(weights.embedding(), weights.head().weight());
  }

  @Test
  void refusesNormsThatAreNotFinite() {
    float[] norm = new float[32];
    norm[7] = Float.NaN;
    String told = refusal(TinyCheckpoint.llama().tensor("model.norm.weight", norm, 32));
    assertTrue(told.contains("element 7 of tensor model.norm.weight is NaN"), told);
  }
}
