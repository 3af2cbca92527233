package dev.bulkgen.spark.config;

import dev.bulkgen.config.Setting;
import dev.bulkgen.spark.config.OutputSettings.Compression;
import java.util.List;

/** The settings that say where rows come from, what in them is what, where results go. */
public final class DataSettings {
  public static final Setting<String> INPUT =
      Setting.text("input", "path", "Prompts: a file or a folder.");
  public static final Setting<String> INPUT_TABLE =
      Setting.text(
          "input-table",
          "table",
          "Prompts: a table or view of Spark's catalogs, in place of files.");
  public static final Setting<String> OUTPUT =
      Setting.text("output", "path", "Folder for the result dataset.");
  public static final Setting<InputFormat> INPUT_FORMAT =
      Setting.choice(
              "input-format", InputFormat.class, "Format of the input; auto goes by extension.")
          .withDefault("auto");
  public static final Setting<String> PROMPT_COLUMN =
      Setting.text(
              "prompt-column", "column", "Column with the prompt: text, or an array of token ids.")
          .withDescribedDefault("prompt, or text for text files");
  public static final Setting<String> MESSAGES_COLUMN =
      Setting.text(
          "messages-column",
          "column",
          "Column with chat messages: array<struct<role,content>> or JSON text.");
  public static final Setting<String> PROMPT_TEMPLATE =
      Setting.text(
          "prompt-template", "text", "Prompt with {column} places; {{ and }} stand for braces.");
  public static final Setting<String> SYSTEM_PROMPT =
      Setting.text(
          "system-prompt",
          "text",
          "System message; prompts then go through the model's chat template.");
  public static final Setting<Boolean> CHAT =
      Setting.flag("chat", "Put each prompt as a user message through the model's chat template.")
          .withDefault("false");
  public static final Setting<String> COMPLETION_COLUMN =
      Setting.text(
          "completion-column",
          "column",
          "Column with what is scored after the prompt: text, an array of token ids, or an array of"
              + " either, which are choices.");
  public static final Setting<String> TEXT_COLUMN =
      Setting.text(
          "text-column",
          "column",
          "Column with whole texts to score, without a prompt: as completion-column.");
  public static final Setting<String> ID_COLUMN =
      Setting.text("id-column", "column", "Column that names a row; must be unique.")
          .withDescribedDefault("a hash of the row");
  public static final Setting<String> SAMPLING_PARAMS_COLUMN =
      Setting.text(
              "sampling-params-column",
              "column",
              "Column with a row's own sampling settings: a struct, a map or JSON text.")
          .withDescribedDefault("none");
  public static final Setting<String> ANSWER_COLUMN =
      Setting.text(
          "answer-column",
          "column",
          "Column with the expected answer; the report counts texts that begin with it.");
  public static final Setting<OutputFormat> OUTPUT_FORMAT =
      Setting.choice("output-format", OutputFormat.class, "Format of the result.")
          .withDefault("parquet");
  public static final Setting<String> OUTPUT_COLUMN =
      Setting.text("output-column", "column", "Name of the column with the generated text.")
          .withDefault("generated_text");
  public static final Setting<Boolean> TOKEN_IDS =
      Setting.flag("token-ids", "Add the column token_ids.").withDefault("false");
  public static final Setting<Boolean> TOKEN_LOGPROBS =
      Setting.flag("token-logprobs", "Add the columns token_ids and token_logprobs.")
          .withDefault("false");
  public static final Setting<Compression> COMPRESSION =
      Setting.choice("compression", Compression.class, "Compression of the result's files.")
          .withDescribedDefault("zstd for parquet, else uncompressed");
  public static final Setting<Integer> LIMIT =
      Setting.integer("limit", 1, Integer.MAX_VALUE, "Only the first N rows.")
          .withDescribedDefault("all");

  /** In the order of the help. */
  public static final List<Setting<?>> ALL =
      List.of(
          INPUT,
          INPUT_TABLE,
          OUTPUT,
          INPUT_FORMAT,
          PROMPT_COLUMN,
          MESSAGES_COLUMN,
          PROMPT_TEMPLATE,
          SYSTEM_PROMPT,
          CHAT,
          COMPLETION_COLUMN,
          TEXT_COLUMN,
          ID_COLUMN,
          SAMPLING_PARAMS_COLUMN,
          ANSWER_COLUMN,
          OUTPUT_FORMAT,
          OUTPUT_COLUMN,
          TOKEN_IDS,
          TOKEN_LOGPROBS,
          COMPRESSION,
          LIMIT);

  private DataSettings() {}
}
