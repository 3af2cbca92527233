package dev.bulkgen.spark.source;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.engine.Prompt;
import dev.bulkgen.engine.Prompt.Message;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.spark.config.InputSettings;
import dev.bulkgen.spark.config.InputSettings.PromptForm;
import dev.bulkgen.spark.config.InputSettings.Wrapping;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;

/** Takes a row's prompt out of its columns. */
public final class PromptReader {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MOST_MESSAGES = 100_000;

  /** Where the prompt is and what it is made of. */
  private sealed interface Plan {
    record Text(int column, String name) implements Plan {}

    record Tokens(int column, String name, DataType element) implements Plan {}

    record MessageArray(int column, String name, int fields, int role, int content)
        implements Plan {}

    record MessageJson(int column, String name) implements Plan {}

    record Template(RowTemplate template) implements Plan {}

    record Request(int method, int url, int body) implements Plan {}

    record None() implements Plan {}
  }

  private final Plan plan;
  private final Wrapping wrapping;
  private final Optional<String> systemPrompt;
  private final Optional<SamplingColumn> sampling;

  private PromptReader(
      Plan plan,
      Wrapping wrapping,
      Optional<String> systemPrompt,
      Optional<SamplingColumn> sampling) {
    this.plan = plan;
    this.wrapping = wrapping;
    this.systemPrompt = systemPrompt;
    this.sampling = sampling;
  }

  /**
   * @throws BulkgenException COLUMN_NOT_FOUND naming the columns there are, INPUT_INVALID if a
   *     column is of the wrong type
   */
  public static PromptReader create(InputSettings settings, String format, StructType schema) {
    Columns columns = new Columns(schema);
    PromptForm form = settings.form();
    Plan plan;
    Wrapping wrapping = Wrapping.PLAIN;
    if (form instanceof PromptForm.MessagesColumn messages) {
      plan = messagesPlan(columns, messages.name());
      wrapping = Wrapping.CHAT;
    } else if (form instanceof PromptForm.Template template) {
      plan = new Plan.Template(RowTemplate.parse(template.text(), schema));
      wrapping = template.wrapping();
    } else if (form instanceof PromptForm.RequestBody) {
      plan =
          new Plan.Request(
              schema.fieldIndex(BatchRequest.METHOD),
              schema.fieldIndex(BatchRequest.URL),
              schema.fieldIndex(BatchRequest.BODY));
    } else if (form instanceof PromptForm.None) {
      plan = new Plan.None();
    } else {
      PromptForm.Column column = (PromptForm.Column) form;
      String name = column.name().orElse(format.equals("text") ? "text" : "prompt");
      plan = promptPlan(columns, name, column.wrapping());
      wrapping = column.wrapping();
    }
    return new PromptReader(
        plan,
        wrapping,
        settings.systemPrompt(),
        settings.samplingColumn().map(name -> SamplingColumn.of(columns, name)));
  }

  private static Plan promptPlan(Columns columns, String name, Wrapping wrapping) {
    int index = columns.require(name, "prompt-column");
    DataType type = columns.type(index);
    if (type.equals(DataTypes.StringType)) {
      return new Plan.Text(index, name);
    }
    if (type instanceof ArrayType array && TokenIds.isId(array.elementType())) {
      if (wrapping == Wrapping.CHAT) {
        throw BulkgenException.of(
            ErrorCode.INPUT_INVALID,
            "column '%s' holds token ids: they go to the model as they are, without chat or"
                + " system-prompt",
            name);
      }
      return new Plan.Tokens(index, name, array.elementType());
    }
    throw BulkgenException.of(
        ErrorCode.INPUT_INVALID,
        "prompt column '%s' is %s: it has to be text or an array of integers",
        name,
        type.simpleString());
  }

  private static Plan messagesPlan(Columns columns, String name) {
    int index = columns.require(name, "messages-column");
    DataType type = columns.type(index);
    if (type.equals(DataTypes.StringType)) {
      return new Plan.MessageJson(index, name);
    }
    if (type instanceof ArrayType array && array.elementType() instanceof StructType message) {
      List<String> names = List.of(message.fieldNames());
      int role = names.indexOf("role");
      int content = names.indexOf("content");
      if (role >= 0
          && content >= 0
          && message.apply(role).dataType().equals(DataTypes.StringType)
          && message.apply(content).dataType().equals(DataTypes.StringType)) {
        return new Plan.MessageArray(index, name, message.size(), role, content);
      }
    }
    throw BulkgenException.of(
        ErrorCode.INPUT_INVALID,
        "messages column '%s' is %s: it has to be array<struct<role,content>> or JSON text",
        name,
        type.simpleString());
  }

  /** Whether prompts go through the model's chat template. */
  public boolean usesChat() {
    return wrapping == Wrapping.CHAT;
  }

  /** Whether prompts are token ids, so that the result should have them too. */
  public boolean readsTokenIds() {
    return plan instanceof Plan.Tokens;
  }

  /** Whether there are prompts that a tokenizer has to read. */
  public boolean readsText() {
    return !(plan instanceof Plan.Tokens || plan instanceof Plan.None);
  }

  /**
   * The row's prompt, with the sampling settings it brings itself; an empty text where there is
   * none.
   *
   * @throws BulkgenException of kind DATA: PROMPT_EMPTY, PROMPT_INVALID, REQUEST_INVALID
   */
  public RowRequest request(InternalRow row) {
    if (plan instanceof Plan.Request request) {
      RowRequest asked =
          BatchRequest.read(
              row.getUTF8String(request.method()).toString(),
              row.getUTF8String(request.url()).toString(),
              row.getUTF8String(request.body()).toString());
      return asked.prompt() instanceof Prompt.Messages chat
          ? new RowRequest(chat(chat.messages()), asked.sampling())
          : asked;
    }
    SamplingParamsBuilder own =
        sampling.map(column -> column.read(row)).orElseGet(SamplingParamsBuilder::new);
    return new RowRequest(read(row), own);
  }

  private Prompt read(InternalRow row) {
    if (plan instanceof Plan.None) {
      return new Prompt.Text("");
    }
    if (plan instanceof Plan.Text text) {
      return wrap(text(row, text.column(), "column '" + text.name() + "'"));
    }
    if (plan instanceof Plan.Template template) {
      return wrap(template.template().render(row));
    }
    if (plan instanceof Plan.Tokens tokens) {
      return tokens(row, tokens);
    }
    List<Message> messages =
        plan instanceof Plan.MessageArray array
            ? messages(row, array)
            : messagesFromJson(row, (Plan.MessageJson) plan);
    if (messages.isEmpty()) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "the row has no messages");
    }
    return chat(messages);
  }

  private Prompt wrap(String text) {
    if (text.isEmpty()) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "the prompt is empty");
    }
    return wrapping == Wrapping.PLAIN
        ? new Prompt.Text(text)
        : chat(List.of(new Message("user", text)));
  }

  /** The system prompt comes first, unless the row brings its own. */
  private Prompt chat(List<Message> messages) {
    if (systemPrompt.isEmpty() || messages.get(0).role().equals("system")) {
      return new Prompt.Messages(messages);
    }
    List<Message> all = new ArrayList<>();
    all.add(new Message("system", systemPrompt.get()));
    all.addAll(messages);
    return new Prompt.Messages(all);
  }

  /** Text of a column that has to be there and be UTF-8. */
  static String text(InternalRow row, int column, String what) {
    if (row.isNullAt(column)) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "%s is null", what);
    }
    return text(row.getUTF8String(column), what);
  }

  static String text(UTF8String value, String what) {
    if (!value.isValid()) {
      throw BulkgenException.of(ErrorCode.PROMPT_INVALID, "%s is not valid UTF-8", what);
    }
    return value.toString();
  }

  private static Prompt tokens(InternalRow row, Plan.Tokens plan) {
    if (row.isNullAt(plan.column()) || row.getArray(plan.column()).numElements() == 0) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_EMPTY, "column '%s' holds no token ids", plan.name());
    }
    return new Prompt.Tokens(
        TokenIds.read(row.getArray(plan.column()), plan.element(), "column '" + plan.name() + "'"));
  }

  private static List<Message> messages(InternalRow row, Plan.MessageArray plan) {
    List<Message> messages = new ArrayList<>();
    if (row.isNullAt(plan.column())) {
      return messages;
    }
    ArrayData array = row.getArray(plan.column());
    for (int index = 0; index < array.numElements(); index++) {
      String what = "message " + index + " of column '" + plan.name() + "'";
      if (array.isNullAt(index)) {
        throw BulkgenException.of(ErrorCode.PROMPT_INVALID, "%s is null", what);
      }
      InternalRow message = array.getStruct(index, plan.fields());
      if (message.isNullAt(plan.role()) || message.isNullAt(plan.content())) {
        throw BulkgenException.of(ErrorCode.PROMPT_INVALID, "%s lacks a role or a content", what);
      }
      messages.add(
          new Message(
              text(message.getUTF8String(plan.role()), what),
              text(message.getUTF8String(plan.content()), what)));
    }
    return messages;
  }

  private static List<Message> messagesFromJson(InternalRow row, Plan.MessageJson plan) {
    String what = "column '" + plan.name() + "'";
    String json = text(row, plan.column(), what);
    JsonNode root;
    try {
      root = JSON.readTree(json);
    } catch (JsonProcessingException e) {
      throw new BulkgenException(
          ErrorCode.PROMPT_INVALID, what + " is not JSON: " + e.getOriginalMessage(), e);
    }
    if (!root.isArray() || root.size() > MOST_MESSAGES) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_INVALID, "%s is not a JSON array of messages", what);
    }
    List<Message> messages = new ArrayList<>();
    for (JsonNode message : root) {
      if (!message.path("role").isTextual() || !message.path("content").isTextual()) {
        throw BulkgenException.of(
            ErrorCode.PROMPT_INVALID,
            "message %d of %s lacks a role or a content that is text",
            messages.size(),
            what);
      }
      messages.add(new Message(message.get("role").asText(), message.get("content").asText()));
    }
    return messages;
  }
}
