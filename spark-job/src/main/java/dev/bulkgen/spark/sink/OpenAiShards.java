package dev.bulkgen.spark.sink;

import dev.bulkgen.spark.config.InputFormat;
import dev.bulkgen.spark.config.InputSettings;
import dev.bulkgen.spark.config.InputSettings.PromptForm;
import dev.bulkgen.spark.config.InputSettings.Wrapping;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.storage.Storage;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;

/**
 * OpenAI's batch output: one line a request that went well, and in a second file, below {@code
 * errors/}, one a request that did not. Values and checksums stand in a {@link Sidecar}.
 *
 * @param named whether rows have ids, which are the custom_ids; else the rows' keys are
 * @param requests whether the rows are requests themselves, which say their endpoint and model
 * @param chat whether rows that are no requests are answered as chats
 */
record OpenAiShards(boolean named, boolean requests, boolean chat) implements ShardFormat {
  private static final String ERRORS = "errors/";

  static OpenAiShards of(JobSettings settings) {
    InputSettings input = settings.input();
    PromptForm form = input.form();
    boolean chat =
        form instanceof PromptForm.MessagesColumn
            || form instanceof PromptForm.Column column && column.wrapping() == Wrapping.CHAT
            || form instanceof PromptForm.Template template && template.wrapping() == Wrapping.CHAT;
    return new OpenAiShards(
        input.idColumn().isPresent(), input.format() == InputFormat.OPENAI_BATCH, chat);
  }

  static String errors(String shard) {
    return ERRORS + shard;
  }

  @Override
  public String sparkFormat() {
    return "json";
  }

  @Override
  public String extension() {
    return ".jsonl";
  }

  @Override
  public List<String> files(String shard) {
    return List.of(Sidecar.name(shard), errors(shard), shard);
  }

  @Override
  public OutcomeWriter open(
      ShardPlace place, ResultSchema schema, Supplier<Map<String, String>> values) {
    return new OpenAiWriter(place, new OpenAiLines(this, place.identity(), schema), values);
  }

  @Override
  public Optional<Map<String, String>> values(Storage storage, Path shard) {
    return Sidecar.read(storage, shard).map(Sidecar::values);
  }

  @Override
  public boolean sound(Storage storage, Path shard) {
    return Sidecar.read(storage, shard)
        .map(sidecar -> sidecar.sound(storage, shard.getParent()))
        .orElse(false);
  }
}
