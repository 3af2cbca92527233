package dev.bulkgen.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestRopeConfigReader {
  @TempDir Path folder;

  private ModelDescription read(TinyCheckpoint tiny) {
    return ModelFolder.describe(tiny.writeConfig(folder));
  }

  private String refusal(ErrorCode code, TinyCheckpoint tiny) {
    tiny.writeConfig(folder);
    BulkgenException e = assertThrows(BulkgenException.class, () -> ModelFolder.readConfig(folder));
    assertEquals(code, e.code(), e.getMessage());
    assertTrue(e.getMessage().startsWith(folder.toString()), e.getMessage());
    return e.getMessage();
  }

  @Test
  void readsEveryRopeScaling() {
    TinyCheckpoint llama = TinyCheckpoint.llama();
    llama.setJson("rope_scaling", "{'type':'linear','factor':8}".replace('\'', '"'));
    assertEquals(new RopeConfig.Linear(8), read(llama).config().rope().scaling());
    llama.setJson(
        "rope_scaling",
        ("{'rope_type':'llama3','factor':8,'low_freq_factor':1,'high_freq_factor':4,"
                + "'original_max_position_embeddings':8192}")
            .replace('\'', '"'));
    assertEquals(new RopeConfig.Llama3(8, 1, 4, 8192), read(llama).config().rope().scaling());
    llama.setJson("rope_scaling", "{\"rope_type\":\"default\"}");
    assertEquals(new RopeConfig.None(), read(llama).config().rope().scaling());
    llama
        .unset("rope_scaling")
        .setJson("rope_parameters", "{\"rope_type\":\"default\",\"rope_theta\":500000}");
    assertEquals(new RopeConfig(500_000, new RopeConfig.None()), read(llama).config().rope());
  }

  @Test
  void readsYarnWithItsDefaultsAndItsOwnValues() {
    TinyCheckpoint qwen = TinyCheckpoint.qwen3().set("rope_theta", 1_000_000);
    qwen.setJson(
        "rope_scaling",
        "{\"rope_type\":\"yarn\",\"factor\":4,\"original_max_position_embeddings\":256}");
    ModelConfig config = read(qwen).config();
    // 0.1 ln 4 + 1
    assertEquals(new RopeConfig.Yarn(4, 32, 1, 256, 1.1386294361119891), config.rope().scaling());
    assertEquals(1024, config.maxPositions(), "256 positions stretched by 4");
    qwen.set("max_position_embeddings", 900);
    assertEquals(900, read(qwen).config().maxPositions());
    qwen.setJson(
        "rope_scaling",
        ("{'type':'yarn','factor':4,'original_max_position_embeddings':256,'beta_fast':16,"
                + "'beta_slow':2,'attention_factor':1.25}")
            .replace('\'', '"'));
    assertEquals(new RopeConfig.Yarn(4, 16, 2, 256, 1.25), read(qwen).config().rope().scaling());
    qwen.setJson(
        "rope_scaling",
        ("{'type':'yarn','factor':40,'original_max_position_embeddings':256,'mscale':0.707,"
                + "'mscale_all_dim':1.0}")
            .replace('\'', '"'));
    RopeConfig.Yarn yarn = (RopeConfig.Yarn) read(qwen).config().rope().scaling();
    assertEquals(
        (0.0707 * Math.log(40) + 1) / (0.1 * Math.log(40) + 1), yarn.attentionFactor(), 1e-12);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{'rope_type':'dynamic','factor':2} | rope_type 'dynamic'",
        "{'type':'longrope','factor':2} | rope_type 'longrope'",
        "{'type':'su','factor':2} | rope_type 'su'",
        "{'type':'yarn','factor':2,'truncate':false} | truncate",
        "{'full_attention':{'rope_type':'default'}} | each kind of layer",
        "{'rope_type':'default','partial_rotary_factor':0.5} | partial_rotary_factor",
      })
  void refusesOtherRopesByName(String scaling, String named) {
    TinyCheckpoint llama =
        TinyCheckpoint.llama().setJson("rope_scaling", scaling.replace('\'', '"'));
    String told = refusal(ErrorCode.MODEL_UNSUPPORTED, llama);
    assertTrue(told.contains(named), told);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{'type':'linear'} | factor is missing",
        "{'type':'linear','factor':-8} | factor is -8",
        "{'type':'linear','factor':1e400} | factor is",
        "{'factor':2} | rope_type is missing",
        "{'type':'linear','rope_type':'yarn','factor':2} | differ",
        "{'type':'llama3','factor':8,'low_freq_factor':4,'high_freq_factor':4,'original_max_position_embeddings':64} | not below",
        "{'type':'llama3','factor':8,'low_freq_factor':1,'high_freq_factor':4} | rope_scaling.original_max_position_embeddings is missing",
        "{'type':'yarn','factor':8,'beta_fast':1,'beta_slow':2} | not above",
        "3 | rope_scaling is 3",
      })
  void refusesBadRopeValues(String scaling, String named) {
    TinyCheckpoint llama =
        TinyCheckpoint.llama().setJson("rope_scaling", scaling.replace('\'', '"'));
    String told = refusal(ErrorCode.MODEL_CORRUPT, llama);
    assertTrue(told.contains(named), told);
  }
}
