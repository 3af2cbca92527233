package dev.bulkgen.spark.config;

import java.util.Optional;
import java.util.OptionalLong;

/**
 * Where the rows come from and what in them is the prompt.
 *
 * @param path of files; of a table it is where its rows are written down
 * @param table of Spark's catalogs, in place of files
 * @param completions what is scored; empty where completions are generated
 */
public record InputSettings(
    String path,
    Optional<String> table,
    InputFormat format,
    PromptForm form,
    Optional<String> systemPrompt,
    Optional<CompletionColumn> completions,
    Optional<String> idColumn,
    Optional<String> answerColumn,
    Optional<String> samplingColumn,
    OptionalLong limit) {

  /** The same rows, written down as Parquet. */
  public InputSettings writtenDown(String folder) {
    return new InputSettings(
        folder,
        table,
        InputFormat.PARQUET,
        form,
        systemPrompt,
        completions,
        idColumn,
        answerColumn,
        samplingColumn,
        limit);
  }

  /** What a row's prompt is made of. */
  public sealed interface PromptForm {
    /** A column of text or token ids; no name means the format's own default. */
    record Column(Optional<String> name, Wrapping wrapping) implements PromptForm {}

    record MessagesColumn(String name) implements PromptForm {}

    record Template(String text, Wrapping wrapping) implements PromptForm {}

    /** The body of a request of an OpenAI batch file. */
    record RequestBody() implements PromptForm {}

    /** There is no prompt: whole texts are scored. */
    record None() implements PromptForm {}
  }

  /**
   * A column of completions.
   *
   * @param setting that named it
   */
  public record CompletionColumn(String name, String setting) {}

  /** Whether a prompt goes to the model as it is or as a user message. */
  public enum Wrapping {
    PLAIN,
    CHAT
  }
}
