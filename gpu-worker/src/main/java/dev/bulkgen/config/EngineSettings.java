package dev.bulkgen.config;

import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;

/** The settings an engine is started with. */
public final class EngineSettings {
  /** Highest {@code max-batch}. */
  public static final int MAX_BATCH_LIMIT = 65_536;

  private static final int MAX_LENGTH = 1 << 24;
  private static final int MOST_DEVICES = 1023;

  public static final Setting<String> MODEL =
      Setting.text("model", "folder", "The model, a folder in the layout of Hugging Face.");
  public static final Setting<String> KV_CACHE =
      Setting.text(
              "kv-cache",
              "auto, fp16, kivi2, kivi4 or kivi:k=4,v=2,group=32,window=128,sink=0",
              "How keys and values are kept: auto, fp16, kivi2, kivi4 or"
                  + " kivi:k=4,v=2,group=32,window=128,sink=0. auto takes kivi2 where every query"
                  + " head has its own K/V head, else kivi4.")
          .withDefault("auto");
  public static final Setting<BackendChoice> BACKEND =
      Setting.choice("backend", BackendChoice.class, "What computes; auto takes a GPU if it can.")
          .withDefault("auto");
  public static final Setting<DtypeChoice> DTYPE =
      Setting.choice(
              "dtype",
              DtypeChoice.class,
              "Activations of a GPU: auto rounds them to the checkpoint's 16-bit type, float32 takes"
                  + " two such numbers for each, at about half the speed of long prompts. The CPU"
                  + " is always float32.")
          .withDefault("auto");
  public static final Setting<GemmChoice> GEMM =
      Setting.choice(
              "gemm",
              GemmChoice.class,
              "What multiplies prompts on a GPU: own, the kernels of this program, or cublas, the"
                  + " library of CUDA 12, where it is installed. With cublas a row's text may change"
                  + " with the rows beside it. cublas takes 16-bit weights and dtype auto alone.")
          .withDefault("own");
  public static final Setting<Long> MEMORY =
      Setting.size("memory", "Budget of cache and workspaces, such as 4GB.")
          .withDescribedDefault("memory-fraction of what is free");
  public static final Setting<Double> MEMORY_FRACTION =
      Setting.share("memory-fraction", "Share of the free memory that is the budget.")
          .withDefault("0.9");
  public static final Setting<Integer> MAX_BATCH =
      Setting.integer("max-batch", 1, MAX_BATCH_LIMIT, "Most sequences in flight.")
          .withDefault("64");
  public static final Setting<Integer> MAX_MODEL_LEN =
      Setting.integer(
              "max-model-len", 2, MAX_LENGTH, "Longest sequence, prompt and output, in tokens.")
          .withDescribedDefault("the model's own");
  public static final Setting<Integer> MAX_PREFILL_TOKENS =
      Setting.integer(
              "max-prefill-tokens",
              1,
              MAX_LENGTH,
              "Most prompt tokens of a step; longer prompts are prefilled in parts, which needs less"
                  + " workspace but room for their keys and values in float16.")
          .withDescribedDefault("the longest prompt, at least 2048");
  public static final Setting<Long> SWAP_MEMORY =
      Setting.size(
              "swap-memory",
              "Host memory for sequences that make room for others, such as 16GB; 0 for none.")
          .withDescribedDefault(
              "with a GPU a quarter of what is free, 8 GiB at the most; else none");
  public static final Setting<PrefixSharing> PREFIX_SHARING =
      Setting.choice(
              "prefix-sharing",
              PrefixSharing.class,
              "auto prefills the common beginning of prompts once; off prefills each by itself.")
          .withDefault("auto");
  public static final Setting<PromptOverflow> PROMPT_OVERFLOW =
      Setting.choice(
              "prompt-overflow",
              PromptOverflow.class,
              "What to do with a prompt that leaves no room for a token: an error in its row, or"
                  + " cut it and keep its end or its start.")
          .withDefault("error");
  public static final Setting<Integer> THREADS =
      Setting.integer("threads", 1, 1024, "Threads of the CPU backend.")
          .withDescribedDefault("all processors");
  public static final Setting<Integer> DEVICE =
      Setting.integer(
              "device",
              0,
              MOST_DEVICES,
              "Number of the GPU on its machine; on a cluster, the one that Spark assigned to the"
                  + " executor goes before it.")
          .withDefault("0");

  /** In the order of the reference page. */
  public static final List<Setting<?>> ALL =
      List.of(
          MODEL,
          KV_CACHE,
          BACKEND,
          DTYPE,
          GEMM,
          MEMORY,
          MEMORY_FRACTION,
          MAX_BATCH,
          MAX_MODEL_LEN,
          MAX_PREFILL_TOKENS,
          SWAP_MEMORY,
          PREFIX_SHARING,
          PROMPT_OVERFLOW,
          THREADS,
          DEVICE);

  private EngineSettings() {}

  /** The settings as an engine takes them; {@code model} must be given. */
  public static EngineConfig toConfig(Settings settings) {
    return new EngineConfig(
        Path.of(settings.value(MODEL)),
        settings.value(KV_CACHE),
        settings.value(BACKEND),
        settings.value(DTYPE),
        settings.value(GEMM),
        settings.find(MEMORY).map(OptionalLong::of).orElseGet(OptionalLong::empty),
        settings.value(MEMORY_FRACTION),
        settings.value(MAX_BATCH),
        settings.find(MAX_MODEL_LEN).map(OptionalInt::of).orElseGet(OptionalInt::empty),
        settings.value(PROMPT_OVERFLOW),
        settings.find(THREADS).orElseGet(() -> Runtime.getRuntime().availableProcessors()),
        settings.value(DEVICE),
        scheduling(settings));
  }

  private static SchedulingConfig scheduling(Settings settings) {
    return new SchedulingConfig(
        settings.find(MAX_PREFILL_TOKENS).map(OptionalInt::of).orElseGet(OptionalInt::empty),
        settings.find(SWAP_MEMORY).map(OptionalLong::of).orElseGet(OptionalLong::empty),
        settings.value(PREFIX_SHARING));
  }
}
