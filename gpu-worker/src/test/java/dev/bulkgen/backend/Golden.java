package dev.bulkgen.backend;

import dev.bulkgen.Fixtures;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.model.SafetensorsFile;
import dev.bulkgen.tensor.MappedTensor;
import java.util.List;

/** One family's golden model and its numbers. */
public record Golden(String family, ModelWeights weights, SafetensorsFile numbers) {
  public static final List<String> FAMILIES =
      List.of(
          "llama2-mha",
          "llama3-gqa",
          "mistral-window",
          "falcon-mqa",
          "qwen2-bias",
          "longchat-linear");

  public static Golden open(String family) {
    ModelWeights weights = ModelFolder.open(Fixtures.path("golden/" + family)).weights();
    return new Golden(
        family,
        weights,
        SafetensorsFile.open(Fixtures.path("golden/" + family + "/golden.safetensors")));
  }

  public int[] ids(String name) {
    MappedTensor tensor = numbers.tensor(name).orElseThrow();
    int[] ids = new int[(int) tensor.elementCount()];
    tensor.readInts(0, ids, 0, ids.length);
    return ids;
  }

  /** Rows of a two-dimensional tensor. */
  public float[][] rows(String name) {
    MappedTensor tensor = numbers.tensor(name).orElseThrow();
    int width = (int) tensor.shape()[1];
    float[][] rows = new float[(int) tensor.shape()[0]][width];
    for (int i = 0; i < rows.length; i++) {
      tensor.readFloats((long) i * width, rows[i], 0, width);
    }
    return rows;
  }
}
