package dev.bulkgen.cli;

import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.model.Checkpoint;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.model.RopeConfig;
import dev.bulkgen.tensor.MappedTensor;
import dev.bulkgen.text.ChatTemplate;
import dev.bulkgen.text.Tokenizer;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code bulkgen inspect}: what a model folder is, and whether all of it is there and sound. */
@Command(
    name = "inspect",
    description = "Says what a model folder is, and whether every tensor is there and sound.",
    mixinStandardHelpOptions = true)
public final class InspectCommand implements Callable<Integer> {
  private static final int CHUNK = 1 << 16;

  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "MODEL", description = "Model folder in the layout of Hugging Face.")
  private Path model;

  @Option(
      names = "--values",
      description = "Also read every weight and look for NaN and infinity (reads all files).")
  private boolean values;

  private PrintWriter out;

  /**
   * @throws BulkgenException for the first thing that is wrong with the folder
   */
  @Override
  public Integer call() {
    out = spec.commandLine().getOut();
    ModelFolder folder = ModelFolder.open(model);
    describe(folder);
    describeText(folder);
    out.flush();
    Checkpoint checkpoint = folder.checkpoint();
    folder.weights();
    line("files", "%d, %s", checkpoint.files().size(), ByteSize.format(checkpoint.fileBytes()));
    line("tensors", "%d, all there and of the right shape", checkpoint.names().size());
    line("element types", "%s", elementTypes(checkpoint));
    if (values) {
      requireFinite(checkpoint);
      line("values", "%,d, all finite", checkpoint.elementCount());
    }
    line("digest", "%s", folder.digest());
    out.flush();
    return 0;
  }

  private void describe(ModelFolder folder) {
    ModelConfig config = folder.config();
    AttentionShape attention = config.attention();
    line("model", "%s", folder.path());
    line("family", "%s", config.family());
    line("parameters", "%,d", folder.description().parameterCount());
    line("layers", "%d, %d wide", config.layerCount(), config.hiddenSize());
    line(
        "attention",
        "%d query heads, %d K/V heads, head size %d%s%s",
        attention.queryHeads(),
        attention.kvHeads(),
        attention.headDim(),
        attention.slidingWindow().isPresent()
            ? ", sliding window " + attention.slidingWindow().getAsInt()
            : "",
        attention.qkNorm() ? ", q/k norms" : "");
    line("positions", "%,d, %s", config.maxPositions(), rope(config.rope()));
    line("vocabulary", "%,d", config.vocabSize());
    line("end tokens", "%s", new TreeSet<>(config.eosTokenIds()));
    folder.description().warnings().forEach(warning -> line("warning", "%s", warning));
    String auto = CachePolicy.auto(config).equals(CachePolicy.KIVI2) ? "kivi2" : "kivi4";
    line("cache", "auto takes %s", auto);
  }

  private static String rope(RopeConfig rope) {
    String scaling = rope.scaling().getClass().getSimpleName().toLowerCase(Locale.ROOT);
    return "rotary base "
        + (long) rope.theta()
        + (rope.scaling() instanceof RopeConfig.None ? "" : ", scaling " + scaling);
  }

  private void describeText(ModelFolder folder) {
    if (!Files.exists(folder.path().resolve("tokenizer.json"))) {
      line("tokenizer", "none: prompts must be token ids");
      return;
    }
    Tokenizer tokenizer = Tokenizer.load(folder.path());
    line("tokenizer", "%,d tokens", tokenizer.vocabSize());
    boolean chat = ChatTemplate.exists(folder.path());
    if (chat) {
      ChatTemplate.load(folder.path(), LocalDateTime.now());
    }
    line("chat template", "%s", chat ? "yes" : "none: give prompts, not messages");
  }

  private static String elementTypes(Checkpoint checkpoint) {
    Map<String, Integer> counts = new TreeMap<>();
    for (String name : checkpoint.names()) {
      MappedTensor tensor = checkpoint.tensor(name).orElseThrow();
      counts.merge(tensor.dtype().name(), 1, Integer::sum);
    }
    return counts.toString().replaceAll("[{}]", "").replace("=", " x ");
  }

  private static void requireFinite(Checkpoint checkpoint) {
    float[] chunk = new float[CHUNK];
    for (String name : checkpoint.names()) {
      MappedTensor tensor = checkpoint.tensor(name).orElseThrow();
      if (!tensor.dtype().isWeight()) {
        continue;
      }
      for (long start = 0; start < tensor.elementCount(); start += CHUNK) {
        int count = (int) Math.min(CHUNK, tensor.elementCount() - start);
        tensor.readFloats(start, chunk, 0, count);
        for (int i = 0; i < count; i++) {
          if (!Float.isFinite(chunk[i])) {
            throw BulkgenException.of(
                ErrorCode.MODEL_CORRUPT,
                "%s: element %d of tensor %s is %s; download the file again",
                tensor.file().path(),
                start + i,
                name,
                chunk[i]);
          }
        }
      }
    }
  }

  private void line(String name, String format, Object... arguments) {
    out.printf("%-14s %s%n", name, String.format(Locale.ROOT, format, arguments));
  }
}
