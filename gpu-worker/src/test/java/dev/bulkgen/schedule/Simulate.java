package dev.bulkgen.schedule;

import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.config.SchedulingConfig;
import dev.bulkgen.engine.MemoryPlanner;
import dev.bulkgen.model.ModelDescription;
import dev.bulkgen.model.ModelFolder;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * What the scheduler makes of a trace with each cache policy, as a table. Run it from the test
 * class path; {@code --help} lists the arguments.
 */
@Command(name = "simulate", mixinStandardHelpOptions = true, showDefaultValues = true)
final class Simulate implements Callable<Integer> {
  /**
   * MiniKV is no policy of the code yet: its cache is modelled by KIVI in 2 bits and groups of 16
   * that holds half of each prompt, a quarter heavy hitters and a quarter recent (Sharma et al.,
   * arXiv 2411.18077). Its prompts count by what they keep where a step's prompt tokens are
   * limited, and its window is KIVI's.
   */
  static final String MINIKV = "minikv";

  private static final String MINIKV_CACHE = "kivi:k=2,v=2,group=16,window=128,sink=0";
  private static final double MINIKV_KEEPS = 0.5;

  @Option(names = "--trace", required = true)
  Path trace;

  @Option(names = "--model", required = true, description = "A config.json.")
  Path model;

  @Option(names = "--policy", split = ";", description = "As --kv-cache, or minikv; several by ;")
  List<String> policies = List.of("fp16", "kivi4", "kivi2", MINIKV);

  @Option(names = "--requests")
  int requests = 1_000_000;

  @Option(names = "--seed")
  long seed = 1;

  @Option(names = "--memory", description = "The budget; 0.9 of a card's by default.")
  String memory = "71.2GiB";

  @Option(names = "--swap")
  String swap = "8GiB";

  @Option(names = "--max-batch")
  int maxBatch = 1024;

  @Option(names = "--max-model-len")
  int maxModelLen = 16_384;

  @Option(names = "--max-tokens")
  int maxTokens = 1024;

  @Option(names = "--max-prefill-tokens")
  int maxPrefillTokens = 16_384;

  @Option(names = "--fill-target")
  double fillTarget = SchedulerLimits.FILL_TARGET;

  public static void main(String[] arguments) {
    System.exit(new CommandLine(new Simulate()).execute(arguments));
  }

  @Override
  public Integer call() throws Exception {
    LengthTrace lengths = LengthTrace.read(trace);
    System.out.printf(
        Locale.ROOT,
        "%,d requests of %s, %s, swap %s, max-tokens %d, fill target %.2f%n"
            + "%-8s %6s %8s %7s %7s %8s %6s %6s %8s %6s %9s %9s %6s%n",
        requests,
        trace.getFileName(),
        memory,
        swap,
        maxTokens,
        fillTarget,
        "cache",
        "slots",
        "running",
        "pages",
        "of best",
        "steps",
        "idle",
        "swaps",
        "swap GB",
        "time",
        "tokens/s",
        "steady",
        "s");
    for (String policy : policies) {
      long start = System.nanoTime();
      Simulation.Summary s = simulate(policy, lengths.repeated(requests, seed));
      System.out.printf(
          Locale.ROOT,
          "%-8s %6d %8.1f %6.1f%% %6.1f%% %8d %6d %6d %8.1f %5.1f%% %9.0f %9.0f %6.1f%n",
          policy,
          s.slots(),
          s.meanRunning(),
          100 * s.meanPages(),
          100 * s.occupancy(),
          s.steps(),
          s.idleSteps(),
          s.swapOuts(),
          s.swapBytes() / 1e9,
          100 * s.swapShare(),
          s.tokensPerSecond(),
          s.steadyTokensPerSecond(),
          (System.nanoTime() - start) / 1e9);
    }
    return 0;
  }

  Simulation.Summary simulate(String policy, LengthTrace lengths) {
    boolean evicts = policy.equals(MINIKV);
    ModelDescription description = ModelFolder.describe(model);
    MemoryPlan plan = new MemoryPlanner(config(evicts ? MINIKV_CACHE : policy), description).plan();
    SchedulerLimits planned = SchedulerLimits.of(plan);
    SchedulerLimits limits =
        new SchedulerLimits(
            planned.slots(),
            planned.prefillTokens(),
            planned.swapSlots(),
            fillTarget,
            planned.expectedTokens(),
            planned.sharesPrefixes());
    StepCost cost = new StepCost(description, plan.layout());
    return new Simulation(plan, limits, cost, lengths, maxTokens, evicts ? MINIKV_KEEPS : 1).run();
  }

  /** The contents of prompts are not in the trace, so nothing is shared. */
  private EngineConfig config(String kvCache) {
    return new EngineConfig(
        model,
        kvCache,
        BackendChoice.CUDA,
        DtypeChoice.AUTO,
        GemmChoice.OWN,
        OptionalLong.of(ByteSize.parse(memory)),
        1,
        maxBatch,
        OptionalInt.of(maxModelLen),
        PromptOverflow.ERROR,
        1,
        0,
        new SchedulingConfig(
            OptionalInt.of(maxPrefillTokens),
            OptionalLong.of(ByteSize.parse(swap)),
            PrefixSharing.OFF));
  }
}
