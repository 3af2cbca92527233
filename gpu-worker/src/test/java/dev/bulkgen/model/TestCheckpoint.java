package dev.bulkgen.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestCheckpoint {
  private static final String INDEX = "model.safetensors.index.json";

  @TempDir Path folder;

  private String refusal(ErrorCode code) {
    BulkgenException e = assertThrows(BulkgenException.class, () -> Checkpoint.open(folder));
    assertEquals(code, e.code(), e.getMessage());
    assertTrue(e.getMessage().contains(folder.toString()), e.getMessage());
    return e.getMessage();
  }

  private void editIndex(String from, String to) throws IOException {
    String text = Files.readString(folder.resolve(INDEX));
    assertTrue(text.contains(from), text);
    Files.writeString(folder.resolve(INDEX), text.replaceFirst(from, to));
  }

  @Test
  void shardsHoldTheSameWeightsAsOneFile(@TempDir Path single) {
    TinyCheckpoint.llama().write(single);
    TinyCheckpoint.llama().writeSharded(folder, 3);
    Checkpoint one = Checkpoint.open(single);
    Checkpoint three = Checkpoint.open(folder);
    assertEquals(3, three.files().size());
    assertEquals(one.names(), three.names());
    assertEquals(21, one.names().size());
    for (String name : one.names()) {
      assertArrayEquals(
          one.tensor(name).orElseThrow().toFloats(), three.tensor(name).orElseThrow().toFloats());
    }
    assertTrue(three.tensor("no.such.weight").isEmpty());
  }

  @Test
  void namesAMissingShard() throws IOException {
    TinyCheckpoint.llama().writeSharded(folder, 3);
    Files.delete(folder.resolve("model-00002-of-00003.safetensors"));
    assertTrue(refusal(ErrorCode.MODEL_NOT_FOUND).contains("model-00002-of-00003.safetensors"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../model-00001-of-00002.safetensors",
        "/etc/model.safetensors",
        "sub/model.safetensors",
        "..\\\\\\\\model.safetensors",
        "model-00001-of-00002.bin",
        ".safetensors",
        ""
      })
  void anIndexLeadsNowhereElse(String shard) throws IOException {
    TinyCheckpoint.llama().writeSharded(folder, 2);
    editIndex("model-00001-of-00002.safetensors", shard);
    assertTrue(refusal(ErrorCode.MODEL_CORRUPT).contains("model.embed_tokens.weight"));
  }

  @Test
  void anIndexAndItsShardsMustAgree() throws IOException {
    TinyCheckpoint.llama().writeSharded(folder, 2);
    editIndex("model-00001-of-00002", "model-00002-of-00002");
    String told = refusal(ErrorCode.MODEL_CORRUPT);
    assertTrue(
        told.contains("model.embed_tokens.weight is not in model-00002-of-00002.safetensors"),
        told);
    assertTrue(
        told.contains("model.embed_tokens.weight in model-00001-of-00002.safetensors is not in"),
        told);
  }

  @ParameterizedTest
  @ValueSource(strings = {"{}", "{\"weight_map\":[]}", "{\"weight_map\":{}}", "{\"weight_map\":"})
  void refusesABrokenIndex(String text) {
    TinyCheckpoint.writeText(folder, INDEX, text);
    assertTrue(refusal(ErrorCode.MODEL_CORRUPT).contains(INDEX));
  }

  @Test
  void refusesAnIndexWithAValueThatIsNoName() {
    TinyCheckpoint.writeText(folder, INDEX, "{\"weight_map\":{\"a\":3}}");
    assertTrue(refusal(ErrorCode.MODEL_CORRUPT).contains("tensor a"));
  }

  @Test
  void saysWhatToDoWithoutWeights() {
    assertTrue(refusal(ErrorCode.MODEL_NOT_FOUND).contains("download"));
    TinyCheckpoint.writeText(folder, "pytorch_model.bin", "");
    String told = refusal(ErrorCode.MODEL_NOT_FOUND);
    assertTrue(told.contains("pytorch_model.bin") && told.contains("convert"), told);
  }
}
