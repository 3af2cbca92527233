package dev.bulkgen.cli;

import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Setting;
import dev.bulkgen.config.Settings;
import dev.bulkgen.config.SettingsReader;
import dev.bulkgen.engine.MemoryPlanner;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelDescription;
import dev.bulkgen.model.ModelFolder;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code bulkgen plan}: how a budget of memory would be divided, from config.json alone. */
@Command(
    name = "plan",
    description = "Shows how the memory would be divided; reads config.json, no weights.",
    mixinStandardHelpOptions = true,
    sortOptions = false)
public final class PlanCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--model", paramLabel = "DIR", description = "Model folder, or its config.json.")
  private String model;

  @Option(
      names = "--kv-cache",
      paramLabel = "POLICY",
      description = "auto, fp16, kivi2, kivi4 or kivi:k=…,v=….")
  private String kvCache;

  @Option(
      names = "--backend",
      paramLabel = "NAME",
      description = "auto, cuda (weights in the budget) or cpu.")
  private String backend;

  @Option(
      names = "--device",
      paramLabel = "NAME",
      description =
          "A card to plan for that need not be here, such as h100-80g, a100-40g, l40s or rtx4090,"
              + " whose free memory is then an estimate; or the number of one that is.")
  private String device;

  @Option(
      names = "--dtype",
      paramLabel = "NAME",
      description = "Activations of a GPU: auto or float32.")
  private String dtype;

  @Option(
      names = "--gemm",
      paramLabel = "NAME",
      description = "What multiplies prompts on a GPU: own or cublas.")
  private String gemm;

  @Option(names = "--memory", paramLabel = "SIZE", description = "The budget, such as 24GB.")
  private String memory;

  @Option(
      names = "--memory-fraction",
      paramLabel = "F",
      description = "Share of the free memory, if no --memory.")
  private String memoryFraction;

  @Option(names = "--max-batch", paramLabel = "N", description = "Most sequences in flight.")
  private String maxBatch;

  @Option(names = "--max-model-len", paramLabel = "N", description = "Longest sequence in tokens.")
  private String maxModelLen;

  @Option(
      names = "--max-prefill-tokens",
      paramLabel = "N",
      description = "Most prompt tokens of a step.")
  private String maxPrefillTokens;

  @Option(
      names = "--swap-memory",
      paramLabel = "SIZE",
      description = "Host memory for sequences that make room for others.")
  private String swapMemory;

  @Option(
      names = "--prefix-sharing",
      paramLabel = "NAME",
      description = "auto, or off: no room for what prompts have in common.")
  private String prefixSharing;

  @Option(names = "--threads", paramLabel = "N", description = "Threads of the CPU backend.")
  private String threads;

  @Option(
      names = "--settings",
      paramLabel = "FILE",
      description = "A settings file; options go before it.")
  private Path settingsFile;

  private final SettingsReader reader;

  /**
   * @param known to settings files; options are those of the engine
   */
  public PlanCommand(List<? extends Setting<?>> known) {
    reader = new SettingsReader(known);
  }

  /**
   * @throws BulkgenException MEMORY_PLAN_REFUSED, after the comparison is printed, if the budget
   *     does not hold one sequence
   */
  @Override
  public Integer call() {
    Settings settings = onDevice(settings(Map.of()));
    if (settings.find(EngineSettings.MODEL).isEmpty()) {
      throw BulkgenException.of(ErrorCode.SETTING_INVALID, "model: give --model FOLDER");
    }
    EngineConfig engine = EngineSettings.toConfig(settings);
    ModelDescription description = ModelFolder.describe(engine.model());
    MemoryPlanner planner = new MemoryPlanner(engine, description);
    PrintWriter out = spec.commandLine().getOut();
    out.printf(
        "%s: %,d parameters, %s of weights, sequences up to %,d tokens%n%n",
        description.config().family(),
        description.parameterCount(),
        ByteSize.format(description.weightBytes()),
        planner.maxModelLen());
    out.printf("sequences that the budget holds, by cache policy%n%s%n", planner.compare());
    out.printf("where the memory goes, by cache policy%n%s%n", planner.compareParts());
    out.flush();
    String plan = planner.plan().render();
    out.printf("memory plan, as an engine with these settings would take it%n%s", plan);
    out.flush();
    return 0;
  }

  /** Settings that stand for a device's name: the backend, and the budget unless it is given. */
  private Settings onDevice(Settings settings) {
    if (device == null) {
      return settings;
    }
    Map<String, List<String>> meant = new LinkedHashMap<>();
    meant.put("backend", List.of("cuda"));
    if (isNumber(device)) {
      requireGpuBackend(settings, device);
      return settings(meant);
    }
    NamedDevice named = NamedDevice.find(device);
    requireGpuBackend(settings, named.name());
    if (settings.find(EngineSettings.MEMORY).isEmpty()) {
      double fraction = settings.value(EngineSettings.MEMORY_FRACTION);
      meant.put("memory", List.of(Long.toString((long) (fraction * named.freeBytes()))));
    }
    spec.commandLine()
        .getOut()
        .printf(
            "for %s, by estimate: %s as its driver reports it, %s free beside a context, compute"
                + " capability %d.%d; host memory is this machine's%n",
            named.name(),
            ByteSize.format(named.totalBytes()),
            ByteSize.format(named.freeBytes()),
            named.capability() / 10,
            named.capability() % 10);
    return settings(meant);
  }

  private static void requireGpuBackend(Settings settings, String device) {
    if (settings.value(EngineSettings.BACKEND) == BackendChoice.CPU) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "device: %s is a GPU, but backend is cpu; leave one of them out",
          device);
    }
  }

  private static boolean isNumber(String text) {
    return text.chars().allMatch(Character::isDigit);
  }

  /**
   * @param meant go before the options
   */
  private Settings settings(Map<String, List<String>> meant) {
    Map<String, List<String>> given = new LinkedHashMap<>();
    add(given, "model", model);
    add(given, "kv-cache", kvCache);
    add(given, "backend", backend);
    add(given, "dtype", dtype);
    add(given, "gemm", gemm);
    add(given, "memory", memory);
    add(given, "memory-fraction", memoryFraction);
    add(given, "max-batch", maxBatch);
    add(given, "max-model-len", maxModelLen);
    add(given, "max-prefill-tokens", maxPrefillTokens);
    add(given, "swap-memory", swapMemory);
    add(given, "prefix-sharing", prefixSharing);
    add(given, "threads", threads);
    if (device != null && isNumber(device)) {
      add(given, "device", device);
    }
    given.putAll(meant);
    Settings options = reader.parse(given, "command line");
    return settingsFile == null ? options : options.orElse(reader.read(settingsFile));
  }

  private static void add(Map<String, List<String>> given, String name, String value) {
    if (value != null) {
      given.put(name, List.of(value));
    }
  }
}
