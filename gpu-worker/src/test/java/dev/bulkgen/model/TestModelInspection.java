package dev.bulkgen.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestModelInspection {
  @TempDir Path folder;

  @Test
  void rendersASoundModel() {
    ModelInspection inspection = ModelInspection.scanning(Fixtures.path("models/recall"));
    assertTrue(inspection.isSound(), () -> inspection.problems().toString());
    List<String> lines = inspection.render();
    assertEquals(
        List.of(
            "Family      llama, sequential",
            "Size        3 layers, hidden 128, MLP 256 (silu gated), vocabulary 288",
            "Attention   4 query heads, 2 key/value heads, head size 64, window none",
            "Positions   2048, rotary base 10000",
            "Norm        rms, epsilon 1.0E-5",
            "Weights     627,584 parameters, 1.3 MB as declared, tied head",
            "Tokens      end [2], begin 1",
            "Files       1, 1.3 MB, 29 tensors (29 BF16)",
            "Tokenizer   tokenizer.json"),
        lines.subList(1, 10));
    assertEquals("Problems    none", lines.get(lines.size() - 1));
  }

  @Test
  void tellsEveryProblemAtOnce() throws Exception {
    float[] values = new float[32 * 40];
    values[100] = Float.NaN;
    values[200] = Float.NEGATIVE_INFINITY;
    TinyCheckpoint.llama()
        .without("model.norm.weight")
        .tensor("model.layers.0.mlp.down_proj.weight", values, 32, 40)
        .write(folder);
    assertEquals(1, ModelInspection.of(folder).problems().size());
    ModelInspection scanned = ModelInspection.scanning(folder);
    assertFalse(scanned.isSound());
    assertEquals(2, scanned.problems().size());
    String text = String.join("\n", scanned.render());
    assertTrue(text.contains("model.norm.weight"), text);
    assertTrue(text.contains("down_proj.weight holds 2 infinite or NaN values"), text);
    assertTrue(text.contains("prompts must be token ids"), text);

    TinyCheckpoint.writeText(folder, "config.json", "{\"model_type\":\"rwkv\"}");
    TinyCheckpoint.writeText(folder, "tokenizer_config.json", "{\"chat_template\":");
    Files.write(folder.resolve("model.safetensors"), new byte[100]);
    List<String> problems = ModelInspection.of(folder).problems();
    assertEquals(3, problems.size(), problems::toString);
    assertTrue(problems.get(0).contains("rwkv"), problems.get(0));
    assertTrue(problems.get(1).contains("model.safetensors"), problems.get(1));
    assertTrue(problems.get(2).contains("tokenizer_config.json"), problems.get(2));
  }

  @Test
  void findsTheChatTemplate() {
    TinyCheckpoint.qwen3().write(folder);
    assertEquals(Optional.empty(), ModelInspection.of(folder).chatTemplate());
    TinyCheckpoint.writeText(folder, "tokenizer_config.json", "{\"chat_template\":\"x\"}");
    assertEquals(
        Optional.of("in tokenizer_config.json"), ModelInspection.of(folder).chatTemplate());
    TinyCheckpoint.writeText(folder, "chat_template.jinja", "x");
    assertEquals(Optional.of("chat_template.jinja"), ModelInspection.of(folder).chatTemplate());
    assertTrue(ModelInspection.of(folder).isSound());
  }

  @Test
  void aFolderThatIsNotThereIsTheOnlyProblem() {
    ModelInspection inspection = ModelInspection.of(folder.resolve("missing"));
    assertEquals(1, inspection.problems().size());
    assertTrue(inspection.render().get(0).contains("missing"));
  }
}
