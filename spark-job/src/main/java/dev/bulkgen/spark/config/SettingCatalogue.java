package dev.bulkgen.spark.config;

import static dev.bulkgen.spark.config.Setting.Effect.ROWS;
import static dev.bulkgen.spark.config.Setting.Effect.RUN;
import static dev.bulkgen.spark.config.Setting.Group.DATA;
import static dev.bulkgen.spark.config.Setting.Group.ENGINE;
import static dev.bulkgen.spark.config.Setting.Group.JOB;
import static dev.bulkgen.spark.config.Setting.Group.SAMPLING;

import dev.bulkgen.spark.config.Setting.Effect;
import dev.bulkgen.spark.config.Setting.Group;
import dev.bulkgen.spark.config.Setting.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Every setting of {@code bulkgen generate}, in the order of the help. */
public final class SettingCatalogue {
  private static final Map<String, Setting> SETTINGS = new LinkedHashMap<>();

  static {
    addData();
    addSampling();
    addEngine();
    addJob();
  }

  private SettingCatalogue() {}

  public static List<Setting> all() {
    return List.copyOf(SETTINGS.values());
  }

  public static Optional<Setting> find(String name) {
    return Optional.ofNullable(SETTINGS.get(name));
  }

  private static void addData() {
    // Model and input count by their content, not by where they lie: see ModelDigest, InputDigest.
    text(DATA, RUN, "model", "DIR", null, "Model folder (Hugging Face layout)");
    text(DATA, RUN, "input", "PATH", null, "Prompts: a file or a folder");
    text(DATA, RUN, "output", "PATH", null, "Folder for the result dataset");
    choice(
        DATA,
        ROWS,
        "input-format",
        "auto",
        List.of("auto", "jsonl", "parquet", "csv", "text"),
        "Format of the input; auto goes by file extension");
    text(
        DATA,
        ROWS,
        "prompt-column",
        "NAME",
        null,
        "Column with the prompt: text, or an array of token ids (default: prompt; text for text files)");
    text(
        DATA,
        ROWS,
        "messages-column",
        "NAME",
        null,
        "Column with chat messages: array<struct<role,content>> or JSON text");
    text(
        DATA,
        ROWS,
        "prompt-template",
        "TEXT",
        null,
        "Prompt with {column} places; {{ and }} stand for braces");
    text(
        DATA,
        ROWS,
        "system-prompt",
        "TEXT",
        null,
        "System message; prompts then go through the model's chat template");
    flag(DATA, ROWS, "chat", "Put each prompt as a user message through the model's chat template");
    text(
        DATA,
        ROWS,
        "id-column",
        "NAME",
        null,
        "Column that names a row; must be unique (default: a hash of the row)");
    text(
        DATA,
        ROWS,
        "answer-column",
        "NAME",
        null,
        "Column with the expected answer; the report counts texts that begin with it");
    text(
        DATA,
        ROWS,
        "output-column",
        "NAME",
        "generated_text",
        "Name of the column with the generated text");
    flag(DATA, ROWS, "token-ids", "Add the column token_ids");
    choice(
        DATA,
        ROWS,
        "compression",
        "zstd",
        List.of("zstd", "snappy", "gzip", "uncompressed"),
        "Compression of the result's Parquet files");
    integer(DATA, ROWS, "limit", null, "Only the first N rows");
  }

  private static void addSampling() {
    integer(
        SAMPLING,
        ROWS,
        "max-tokens",
        null,
        "Most tokens to generate (default: to the end token or the model's length)");
    integer(SAMPLING, ROWS, "min-tokens", "0", "Hold end tokens and stops back until N tokens");
    number(SAMPLING, "temperature", "0", "0 is greedy");
    number(SAMPLING, "top-p", "1", "Keep the likeliest tokens up to this probability");
    integer(SAMPLING, ROWS, "top-k", "0", "Keep the N likeliest tokens; 0 keeps all");
    number(SAMPLING, "min-p", "0", "Drop tokens below this share of the likeliest one");
    number(SAMPLING, "repetition-penalty", "1", "Above 1 makes tokens seen before less likely");
    number(SAMPLING, "presence-penalty", "0", "Taken from the logit of a token generated before");
    number(SAMPLING, "frequency-penalty", "0", "Taken once for each time it was generated");
    integer(SAMPLING, ROWS, "seed", "0", "Seed of the job");
    list(SAMPLING, ROWS, "stop", "TEXT", "Text that ends a completion; may be repeated");
    list(SAMPLING, ROWS, "stop-token-id", "ID", "Token id that ends it; may be repeated");
    flag(SAMPLING, ROWS, "ignore-eos", "Generate on after an end token");
    integer(SAMPLING, ROWS, "n", "1", "Samples a row");
  }

  private static void addEngine() {
    text(
        ENGINE,
        ROWS,
        "kv-cache",
        "POLICY",
        "auto",
        "auto, fp16, kivi2, kivi4 or kivi:k=4,v=2,group=32,window=128,sink=0");
    choice(
        ENGINE,
        ROWS,
        "backend",
        "auto",
        List.of("auto", "cuda", "cpu"),
        "Where the model runs; auto takes a GPU where it works");
    text(
        ENGINE,
        RUN,
        Kind.BYTES,
        "memory",
        "SIZE",
        null,
        "Memory for cache and workspaces, e.g. 4GB (default: a fraction of what is free)");
    add(
        new Setting(
            "memory-fraction",
            Kind.NUMBER,
            ENGINE,
            RUN,
            "F",
            List.of(),
            "0.9",
            "That fraction, above 0 and up to 1"));
    integer(ENGINE, RUN, "max-batch", "64", "Most sequences in flight in one engine");
    integer(
        ENGINE,
        ROWS,
        "max-model-len",
        null,
        "Longest sequence, prompt and output (default: the model's own)");
    choice(
        ENGINE,
        ROWS,
        "prompt-overflow",
        "error",
        List.of("error", "keep-end", "keep-start"),
        "A prompt too long for the model: error row, or cut it");
    integer(
        ENGINE, RUN, "threads", null, "Threads of the CPU backend (default: the cores of the job)");
  }

  private static void addJob() {
    text(JOB, RUN, "master", "URL", "local[*]", "Spark master");
    list(JOB, RUN, "conf", "KEY=VALUE", "Spark setting; may be repeated");
    integer(JOB, RUN, "unit-rows", null, "Rows a work unit (default: by estimated cost)");
    add(
        new Setting(
            "max-error-rate",
            Kind.NUMBER,
            JOB,
            RUN,
            "R",
            List.of(),
            "0.01",
            "Stop once more than this share of the rows has failed"));
    choice(
        JOB,
        RUN,
        "resume",
        "if-possible",
        List.of("never", "if-possible", "always"),
        "What to do with an output folder that was begun before");
    flag(JOB, RUN, "dry-run", "Print the memory plan and the unit plan, write nothing");
  }

  private static void add(Setting setting) {
    SETTINGS.put(setting.name(), setting);
  }

  private static void text(
      Group group, Effect effect, String name, String placeholder, String value, String help) {
    text(group, effect, Kind.TEXT, name, placeholder, value, help);
  }

  private static void text(
      Group group,
      Effect effect,
      Kind kind,
      String name,
      String placeholder,
      String value,
      String help) {
    add(new Setting(name, kind, group, effect, placeholder, List.of(), value, help));
  }

  private static void integer(Group group, Effect effect, String name, String value, String help) {
    add(new Setting(name, Kind.INTEGER, group, effect, "N", List.of(), value, help));
  }

  private static void number(Group group, String name, String value, String help) {
    add(new Setting(name, Kind.NUMBER, group, ROWS, "X", List.of(), value, help));
  }

  private static void list(
      Group group, Effect effect, String name, String placeholder, String help) {
    add(new Setting(name, Kind.LIST, group, effect, placeholder, List.of(), "[]", help));
  }

  private static void flag(Group group, Effect effect, String name, String help) {
    add(new Setting(name, Kind.FLAG, group, effect, "", List.of("true", "false"), "false", help));
  }

  private static void choice(
      Group group, Effect effect, String name, String value, List<String> choices, String help) {
    List<String> copy = new ArrayList<>(choices);
    add(new Setting(name, Kind.CHOICE, group, effect, String.join("|", copy), copy, value, help));
  }
}
