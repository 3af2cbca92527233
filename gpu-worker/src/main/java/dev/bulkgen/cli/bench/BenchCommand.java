package dev.bulkgen.cli.bench;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.backend.cpu.CpuRoofs;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cli.bench.cuda.DeviceBench;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.model.ModelWeights;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** {@code bulkgen bench}: answers are checked before anything is timed. */
@Command(
    name = "bench",
    description = {
      "Measures prompt and generation speed beside the roof of this machine.",
      "With --backend cuda: the roofs of a card, its kernels, generation end to end.",
      "On the CPU the model has SmolLM2-135M's shape and random weights; the roof is the memory and multiply-add",
      "rate measured in the same run. Checks first that vectorized = plain arithmetic, to the bit."
    },
    mixinStandardHelpOptions = true,
    sortOptions = false)
public final class BenchCommand implements Callable<Integer> {
  private static final int PREFILL_TOKENS = 4_096;
  private static final int WARM_CONTEXT = 128;
  private static final double HOST_SECONDS = 2.5;
  private static final double DEVICE_SECONDS = 0.3;

  @Option(
      names = "--backend",
      paramLabel = "NAME",
      converter = BackendConverter.class,
      description = "cpu or cuda (default: cpu)")
  private BackendChoice backend = BackendChoice.CPU;

  @Option(
      names = "--device",
      paramLabel = "N",
      description = "cuda: the card (default: ${DEFAULT-VALUE})",
      defaultValue = "0")
  private int device;

  @Option(
      names = "--json",
      paramLabel = "FILE",
      description = "cuda: also append each figure to FILE, a line of JSON each")
  private Path json;

  @Option(
      names = "--time-budget",
      paramLabel = "S",
      description = "cuda: begin nothing further after this time (default: no limit)")
  private double timeBudget = Double.POSITIVE_INFINITY;

  @Option(names = "--tiny", hidden = true, description = "cuda: sizes for the emulated device")
  private boolean tiny;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "threads of the CPU backend (default: all cores)")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(
      names = "--batches",
      split = ",",
      paramLabel = "N",
      description = "batch sizes (default: 1,8,32)")
  private List<Integer> batches = List.of(1, 8, 32);

  @Option(
      names = "--contexts",
      split = ",",
      paramLabel = "N",
      description = "tokens cached before the first step (default: 128,1024,4096)")
  private List<Integer> contexts = List.of(128, 1_024, 4_096);

  @Option(
      names = "--kv-cache",
      split = ";",
      paramLabel = "POLICY",
      description = "policies, separated by ';' (default: fp16;kivi2)")
  private List<String> policies = List.of("fp16", "kivi2");

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "another model folder than the random one")
  private Path model;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      description = "time to spend on each measurement (default: 2.5, of a card 0.3)")
  private Double seconds;

  @Option(
      names = "--work",
      paramLabel = "DIR",
      description = "where the model is written once, 270 MB (default: a temporary folder)")
  private Path work = Path.of(System.getProperty("java.io.tmpdir"), "bulkgen-bench");

  @Option(
      names = "--jlama-classpath",
      paramLabel = "FILE",
      description =
          "class path of Jlama for the comparison (see gpu-worker/src/bench/jlama/pom.xml)")
  private Path jlamaClassPath;

  @Spec private CommandSpec spec;

  private PrintWriter out;

  /** Names of backends in lower case. */
  static final class BackendConverter implements ITypeConverter<BackendChoice> {
    @Override
    public BackendChoice convert(String name) {
      return switch (name) {
        case "cpu" -> BackendChoice.CPU;
        case "cuda" -> BackendChoice.CUDA;
        default -> throw new TypeConversionException("'" + name + "' is neither cpu nor cuda");
      };
    }
  }

  @Override
  public Integer call() {
    out = spec.commandLine().getOut();
    if (backend == BackendChoice.CUDA) {
      benchDevice();
      return 0;
    }
    ModelWeights weights = ModelFolder.open(folder()).weights();
    checkAnswers(weights);
    Roofs roofs = measureRoofs(weights.bytesPerStep());
    BenchPrompts prompts = new BenchPrompts(weights.config().vocabSize());
    warmUp(weights, prompts);
    Map<Integer, Double> promptRates = benchPrompts(weights, prompts, roofs);
    Map<String, Double> decodeRates = benchDecode(weights, prompts, roofs);
    compareWithJlama(weights.config().vocabSize(), prompts, promptRates, decodeRates);
    return 0;
  }

  private void benchDevice() {
    DeviceBench.Extent extent = tiny ? DeviceBench.Extent.TINY : DeviceBench.Extent.FULL;
    double each = seconds == null ? DEVICE_SECONDS : seconds;
    new DeviceBench(new DeviceBench.Options(device, extent, each, timeBudget, json), out).run();
  }

  private double seconds() {
    return seconds == null ? HOST_SECONDS : seconds;
  }

  private Path folder() {
    return model == null ? RandomModel.write(work) : model;
  }

  private record Roofs(double bytesPerSecond, double multiplyAddsPerSecond) {}

  private void checkAnswers(ModelWeights weights) {
    for (String policy : policies) {
      CacheLayout layout = layout(weights, policy);
      AnswerCheck.vectorizedEqualsPlain(weights, layout, threads);
      print("check  %-6s vectorized = plain, to the bit", policy);
    }
  }

  private Roofs measureRoofs(long bytesPerStep) {
    double read = CpuRoofs.readBytesPerSecond(threads, bytesPerStep);
    double copy = CpuRoofs.copyBytesPerSecond(threads, bytesPerStep);
    double multiplyAdds = CpuRoofs.multiplyAddsPerSecond(threads);
    print(
        "roof   read %.1f GB/s, copy %.1f GB/s (read + written), %.0f GFLOP/s multiply-add, %d threads",
        read / 1e9, copy / 1e9, 2 * multiplyAdds / 1e9, threads);
    return new Roofs(Math.max(read, copy), multiplyAdds);
  }

  /** Until every kernel is compiled for every batch size: times before are several times higher. */
  private void warmUp(ModelWeights weights, BenchPrompts prompts) {
    for (int round = 0; round < 2; round++) {
      for (int batch : batches) {
        policies.forEach(policy -> decode(weights, prompts, policy, batch, WARM_CONTEXT));
      }
    }
  }

  private Map<Integer, Double> benchPrompts(
      ModelWeights weights, BenchPrompts prompts, Roofs roofs) {
    print("%n%-28s %10s %14s %8s", "prompt (tokens)", "tokens/s", "GFLOP/s/core", "of roof");
    Map<Integer, Double> rates = new HashMap<>();
    CacheLayout layout = layout(weights, policies.get(0));
    try (Backend backend = open(weights, layout, 1)) {
      DecodeRun run = new DecodeRun(backend, layout, prompts, seconds());
      for (int context : contexts) {
        double seconds = run.bestPromptSeconds(context);
        Workload work = Workload.prompt(weights, context);
        rates.put(context, context / seconds);
        print(
            "%-28d %10.1f %14.1f %7.0f%%",
            context,
            context / seconds,
            2 * work.multiplyAdds() / seconds / threads / 1e9,
            100 * roof(work, roofs) / seconds);
      }
    }
    return rates;
  }

  private Map<String, Double> benchDecode(ModelWeights weights, BenchPrompts prompts, Roofs roofs) {
    print(
        "%n%-8s %6s %8s %10s %10s %8s %10s",
        "policy", "batch", "context", "tokens/s", "ms/step", "of roof", "vs " + policies.get(0));
    Map<String, Double> rates = new HashMap<>();
    for (int context : contexts) {
      for (int batch : batches) {
        for (String policy : policies) {
          double rate = decode(weights, prompts, policy, batch, context);
          rates.put(key(policy, batch, context), rate);
          Workload work = Workload.decode(weights, layout(weights, policy), batch, context);
          print(
              "%-8s %6d %8d %10.1f %10.2f %7.0f%% %9.2fx",
              policy,
              batch,
              context,
              rate,
              1e3 * batch / rate,
              100 * roof(work, roofs) / (batch / rate),
              rate / rates.get(key(policies.get(0), batch, context)));
        }
      }
    }
    return rates;
  }

  private double decode(
      ModelWeights weights, BenchPrompts prompts, String policy, int batch, int context) {
    CacheLayout layout = layout(weights, policy);
    try (Backend backend = open(weights, layout, batch)) {
      return batch
          / new DecodeRun(backend, layout, prompts, seconds()).medianStepSeconds(batch, context);
    }
  }

  private void compareWithJlama(
      int vocabulary,
      BenchPrompts prompts,
      Map<Integer, Double> promptRates,
      Map<String, Double> decodeRates) {
    Optional<String> reason = JlamaBaseline.unavailable(jlamaClassPath);
    if (reason.isPresent()) {
      print("%nJlama: not compared: %s", reason.get());
      return;
    }
    print("%n%-28s %10s %10s", "Jlama, one stream", "tokens/s", "ours/its");
    try (JlamaBaseline jlama = JlamaBaseline.load(jlamaClassPath, folder(), vocabulary)) {
      for (int context : contexts) {
        jlama.promptTokensPerSecond(prompts.ids(0, context));
        double prompt = jlama.promptTokensPerSecond(prompts.ids(0, context));
        print(
            "%-28s %10.1f %9.1fx", "prompt " + context, prompt, promptRates.get(context) / prompt);
        double decode = jlama.decodeTokensPerSecond(prompts.ids(0, context), 24);
        for (int batch : batches) {
          double ours = decodeRates.get(key(policies.get(0), batch, context));
          print(
              "%-28s %10.1f %9.1fx",
              "decode at " + context + ", ours batch " + batch, decode, ours / decode);
        }
      }
    }
  }

  private Backend open(ModelWeights weights, CacheLayout layout, int batch) {
    int longest = contexts.stream().reduce(WARM_CONTEXT, Math::max) + DecodeRun.MAX_STEPS;
    int pages = batch * layout.layers() * layout.pagesPerLayer(longest);
    CacheCapacity capacity = new CacheCapacity(pages, batch, Math.max(PREFILL_TOKENS, longest));
    return CpuBackend.open(weights, layout, capacity, threads);
  }

  private static CacheLayout layout(ModelWeights weights, String policy) {
    return CacheLayout.of(CachePolicy.parse(policy, weights.config()), weights.config());
  }

  private static double roof(Workload work, Roofs roofs) {
    return work.roofSeconds(roofs.bytesPerSecond(), roofs.multiplyAddsPerSecond());
  }

  private static String key(String policy, int batch, int context) {
    return policy + "/" + batch + "/" + context;
  }

  private void print(String format, Object... arguments) {
    out.println(String.format(java.util.Locale.ROOT, format, arguments));
    out.flush();
  }
}
