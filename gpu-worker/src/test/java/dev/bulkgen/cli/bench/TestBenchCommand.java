package dev.bulkgen.cli.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.model.TinyCheckpoint;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class TestBenchCommand {
  @TempDir Path folder;

  @Test
  void checksThenPrintsEveryMeasurement() {
    TinyCheckpoint.llama().write(folder);
    StringWriter out = new StringWriter();
    int exit =
        new CommandLine(new BenchCommand())
            .setOut(new PrintWriter(out))
            .execute(
                "--model=" + folder,
                "--contexts=160",
                "--batches=1,3",
                "--seconds=0.05",
                "--threads=2");
    String text = out.toString();
    assertEquals(0, exit, text);
    assertEquals(2, text.lines().filter(line -> line.startsWith("check ")).count(), text);
    assertEquals(2, text.lines().filter(line -> line.startsWith("fp16 ")).count(), text);
    assertEquals(2, text.lines().filter(line -> line.startsWith("kivi2 ")).count(), text);
    assertTrue(text.contains("Jlama: not compared: "), text);
  }

  @Test
  void countsTheBytesAndProductsOfAStep() {
    TinyCheckpoint.llama().write(folder);
    ModelWeights weights = ModelFolder.open(folder).weights();
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    Workload one = Workload.decode(weights, layout, 1, 64);
    Workload two = Workload.decode(weights, layout, 2, 64);
    assertEquals(layout.sequenceBytes(64), two.bytes() - one.bytes());
    assertEquals(2 * one.multiplyAdds(), two.multiplyAdds());
    assertEquals(one.bytes() / 10, one.roofSeconds(10, 1e30));
    assertEquals(one.multiplyAdds() / 10, one.roofSeconds(1e30, 10));
  }
}
