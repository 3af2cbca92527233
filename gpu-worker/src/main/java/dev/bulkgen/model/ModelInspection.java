package dev.bulkgen.model;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.MappedTensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * What a model folder is, and everything that is wrong with it: unlike {@link ModelFolder} it goes
 * on after a problem.
 *
 * @param description empty if config.json could not be read; the reason is a problem
 * @param checkpoint empty if the weight files are missing or not sound
 * @param tokenizer whether tokenizer.json is there
 * @param chatTemplate where the chat template stands; empty if there is none
 * @param problems whole sentences; empty if the folder can be used
 */
public record ModelInspection(
    Path path,
    Optional<ModelDescription> description,
    Optional<Checkpoint> checkpoint,
    boolean tokenizer,
    Optional<String> chatTemplate,
    List<String> problems) {

  private static final String TOKENIZER_CONFIG = "tokenizer_config.json";
  private static final long MAX_TOKENIZER_CONFIG_BYTES = 10_000_000;
  private static final int SCANNED_AT_ONCE = 1 << 15;

  public ModelInspection {
    problems = List.copyOf(problems);
  }

  /** Inspects without reading the weights' values. */
  public static ModelInspection of(Path folder) {
    return inspect(folder, checkpoint -> List.of());
  }

  /** Inspects and reads every weight, so that infinite values and NaN are found too. */
  public static ModelInspection scanning(Path folder) {
    return inspect(folder, ModelInspection::nonFinite);
  }

  /** True if nothing stands against using the model. */
  public boolean isSound() {
    return problems.isEmpty();
  }

  /** Lines for a console, a fact each. */
  public List<String> render() {
    List<String> lines = new ArrayList<>();
    lines.add("Model       " + path);
    description.ifPresent(known -> renderDescription(known, lines));
    checkpoint.ifPresent(files -> renderWeights(files, lines));
    lines.add("Tokenizer   " + (tokenizer ? "tokenizer.json" : "none: prompts must be token ids"));
    lines.add("Template    " + chatTemplate.orElse("none: a messages column cannot be used"));
    if (problems.isEmpty()) {
      lines.add("Problems    none");
    } else {
      problems.forEach(problem -> lines.add("Problem     " + problem));
    }
    return lines;
  }

  private interface ValueCheck {
    List<String> problems(Checkpoint checkpoint);
  }

  private static ModelInspection inspect(Path folder, ValueCheck values) {
    List<String> problems = new ArrayList<>();
    if (attempt(problems, () -> checked(folder)).isEmpty()) {
      return new ModelInspection(
          folder, Optional.empty(), Optional.empty(), false, Optional.empty(), problems);
    }
    Optional<ModelDescription> description =
        attempt(problems, () -> ModelConfigReader.read(folder));
    Optional<Checkpoint> checkpoint = attempt(problems, () -> Checkpoint.open(folder));
    if (description.isPresent() && checkpoint.isPresent()) {
      problems.addAll(WeightLoader.problems(checkpoint.get(), description.get()));
    }
    checkpoint.ifPresent(files -> problems.addAll(values.problems(files)));
    boolean tokenizer = Files.isRegularFile(folder.resolve("tokenizer.json"));
    Optional<String> template =
        attempt(problems, () -> chatTemplateOf(folder)).flatMap(found -> found);
    return new ModelInspection(folder, description, checkpoint, tokenizer, template, problems);
  }

  private interface Step<T> {
    T run();
  }

  private static <T> Optional<T> attempt(List<String> problems, Step<T> step) {
    try {
      return Optional.of(step.run());
    } catch (BulkgenException e) {
      problems.add(e.getMessage());
      return Optional.empty();
    }
  }

  private static Path checked(Path folder) {
    ModelFolder.checkFolder(folder);
    return folder;
  }

  private static Optional<String> chatTemplateOf(Path folder) {
    for (String name : List.of("chat_template.jinja", "chat_template.json")) {
      if (Files.isRegularFile(folder.resolve(name))) {
        return Optional.of(name);
      }
    }
    Path config = folder.resolve(TOKENIZER_CONFIG);
    boolean inConfig =
        Files.isRegularFile(config)
            && JsonFile.read(config, MAX_TOKENIZER_CONFIG_BYTES).hasNonNull("chat_template");
    return inConfig ? Optional.of("in " + TOKENIZER_CONFIG) : Optional.empty();
  }

  private static List<String> nonFinite(Checkpoint checkpoint) {
    List<String> problems = new ArrayList<>();
    float[] values = new float[SCANNED_AT_ONCE];
    for (String name : checkpoint.names()) {
      MappedTensor tensor = checkpoint.tensor(name).orElseThrow();
      long bad = tensor.dtype().isWeight() ? nonFinite(tensor, values) : 0;
      if (bad > 0) {
        problems.add(
            "tensor " + name + " holds " + bad + " infinite or NaN values; download it again");
      }
    }
    return problems;
  }

  private static long nonFinite(MappedTensor tensor, float[] values) {
    long bad = 0;
    for (long at = 0; at < tensor.elementCount(); at += values.length) {
      int count = (int) Math.min(values.length, tensor.elementCount() - at);
      tensor.readFloats(at, values, 0, count);
      for (int i = 0; i < count; i++) {
        bad += Float.isFinite(values[i]) ? 0 : 1;
      }
    }
    return bad;
  }

  private static void renderDescription(ModelDescription known, List<String> lines) {
    ModelConfig config = known.config();
    AttentionShape attention = config.attention();
    lines.add("Family      " + config.family() + ", " + words(config.block()));
    lines.add(
        format(
            "Size        %d layers, hidden %d, MLP %d (%s), vocabulary %d",
            config.layerCount(),
            config.hiddenSize(),
            config.intermediateSize(),
            words(config.mlp()),
            config.vocabSize()));
    lines.add(
        format(
            "Attention   %d query heads, %d key/value heads, head size %d, window %s%s",
            attention.queryHeads(),
            attention.kvHeads(),
            attention.headDim(),
            attention.slidingWindow().isPresent()
                ? attention.slidingWindow().getAsInt() + " tokens"
                : "none",
            attention.qkNorm() ? ", q/k norms" : ""));
    lines.add(format("Positions   %d, %s", config.maxPositions(), rope(config.rope())));
    lines.add(format("Norm        %s, epsilon %s", words(config.norm()), config.normEpsilon()));
    lines.add(
        format(
            "Weights     %,d parameters, %s as declared, %s head%s",
            known.parameterCount(),
            bytes(known.weightBytes()),
            config.tiedEmbeddings() ? "tied" : "own",
            known.form().qkvBias() ? ", attention biases" : ""));
    lines.add(
        format(
            "Tokens      end %s, begin %s",
            config.eosTokenIds().isEmpty() ? "none" : config.eosTokenIds(),
            config.bosTokenId() < 0 ? "none" : config.bosTokenId()));
  }

  private static void renderWeights(Checkpoint files, List<String> lines) {
    Map<DType, Long> byType = new EnumMap<>(DType.class);
    for (String name : files.names()) {
      byType.merge(files.tensor(name).orElseThrow().dtype(), 1L, Long::sum);
    }
    lines.add(
        format(
            "Files       %d, %s, %d tensors (%s)",
            files.files().size(),
            bytes(files.fileBytes()),
            files.names().size(),
            byType.entrySet().stream()
                .map(entry -> entry.getValue() + " " + entry.getKey())
                .collect(Collectors.joining(", "))));
  }

  private static String rope(RopeConfig rope) {
    RopeConfig.Scaling scaling = rope.scaling();
    String theta = format("rotary base %.0f", rope.theta());
    if (scaling instanceof RopeConfig.Linear linear) {
      return theta + ", linear x" + linear.factor();
    }
    if (scaling instanceof RopeConfig.Llama3 llama3) {
      return format(
          "%s, llama3 x%s from %d", theta, llama3.factor(), llama3.originalMaxPositions());
    }
    if (scaling instanceof RopeConfig.Yarn yarn) {
      return format("%s, YaRN x%s from %d", theta, yarn.factor(), yarn.originalMaxPositions());
    }
    return theta;
  }

  private static String words(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }

  private static String bytes(long count) {
    return count < 1_000_000
        ? format("%.1f kB", count / 1e3)
        : count < 1_000_000_000 ? format("%.1f MB", count / 1e6) : format("%.2f GB", count / 1e9);
  }

  private static String format(String pattern, Object... arguments) {
    return String.format(Locale.ROOT, pattern, arguments);
  }
}
