package dev.bulkgen.text;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;

/**
 * What Java needs to know of a Hugging Face {@code tokenizer.json}: the string of every token,
 * which tokens are special, and the decoder. Read as a stream, as the file may hold millions of
 * merges.
 */
final class TokenizerFile {
  static final int MAX_TOKEN_ID = (1 << 22) - 1;
  private static final long MAX_FILE_BYTES = 256L << 20;

  private final Path path;
  private String[] tokens = new String[1 << 10];
  private int vocabSize;
  private final BitSet special = new BitSet();
  private JsonNode decoder = MissingNode.getInstance();

  private TokenizerFile(Path path) {
    this.path = path;
  }

  /**
   * Reads and checks the file.
   *
   * @throws BulkgenException TOKENIZER_INVALID where it is missing, too large or malformed
   */
  static TokenizerFile read(Path path) {
    TokenizerFile file = new TokenizerFile(path);
    if (!Files.isRegularFile(path)) {
      throw file.invalid("the file is missing");
    }
    ObjectMapper mapper = new ObjectMapper(new JsonFactory());
    try (JsonParser parser = mapper.getFactory().createParser(path.toFile())) {
      if (Files.size(path) > MAX_FILE_BYTES) {
        throw file.invalid("it has " + Files.size(path) + " bytes, more than " + MAX_FILE_BYTES);
      }
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw file.invalid("it is no JSON object");
      }
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String field = parser.currentName();
        parser.nextToken();
        switch (field) {
          case "model" -> file.readModel(parser);
          case "added_tokens" -> file.readAddedTokens(mapper.readTree(parser));
          case "decoder" -> file.decoder = mapper.readTree(parser);
          default -> parser.skipChildren();
        }
      }
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.TOKENIZER_INVALID, file.message("it cannot be read: " + e.getMessage()), e);
    }
    if (file.vocabSize == 0) {
      throw file.invalid("it has no vocabulary (model.vocab)");
    }
    return file;
  }

  private void readModel(JsonParser parser) throws IOException {
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      throw invalid("'model' is no object");
    }
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String field = parser.currentName();
      JsonToken value = parser.nextToken();
      if (field.equals("vocab") && value == JsonToken.START_OBJECT) {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
          String token = parser.currentName();
          if (parser.nextToken() != JsonToken.VALUE_NUMBER_INT) {
            throw invalid("the id of the token '" + token + "' is no whole number");
          }
          put(parser.getLongValue(), token);
        }
      } else if (field.equals("vocab") && value == JsonToken.START_ARRAY) {
        readScoredVocabulary(parser);
      } else {
        parser.skipChildren();
      }
    }
  }

  /** Unigram models list pairs of token and score; the place in the list is the id. */
  private void readScoredVocabulary(JsonParser parser) throws IOException {
    int id = 0;
    while (parser.nextToken() == JsonToken.START_ARRAY) {
      if (parser.nextToken() != JsonToken.VALUE_STRING) {
        throw invalid("the entry " + id + " of the vocabulary does not begin with a string");
      }
      put(id++, parser.getText());
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        if (parser.currentToken() == null || !parser.currentToken().isScalarValue()) {
          throw invalid("the entry " + (id - 1) + " of the vocabulary is malformed");
        }
      }
    }
  }

  private void readAddedTokens(JsonNode added) {
    for (JsonNode token : added) {
      JsonNode id = token.path("id");
      if (!id.isIntegralNumber() || !token.path("content").isTextual()) {
        throw invalid("an entry of 'added_tokens' lacks its id or content");
      }
      put(id.longValue(), token.path("content").textValue());
      special.set(id.intValue(), token.path("special").asBoolean(false));
    }
  }

  private void put(long id, String token) {
    if (id < 0 || id > MAX_TOKEN_ID) {
      throw invalid("the id " + id + " of the token '" + token + "' is out of range");
    }
    int index = (int) id;
    if (index >= tokens.length) {
      tokens = Arrays.copyOf(tokens, Math.max(index + 1, tokens.length * 2));
    }
    tokens[index] = token;
    vocabSize = Math.max(vocabSize, index + 1);
  }

  BulkgenException invalid(String problem) {
    return new BulkgenException(ErrorCode.TOKENIZER_INVALID, message(problem));
  }

  private String message(String problem) {
    return "Tokenizer "
        + path
        + ": "
        + problem
        + ". Copy the model's tokenizer.json into its folder, or give prompts as token ids, which"
        + " need no tokenizer.";
  }

  /** The highest id and one. */
  int vocabSize() {
    return vocabSize;
  }

  /** The token's string, or null where no token has the id. */
  String token(int id) {
    return id >= 0 && id < vocabSize ? tokens[id] : null;
  }

  boolean isSpecial(int id) {
    return id >= 0 && special.get(id);
  }

  /** Ids of the special tokens, ascending. */
  int[] specialIds() {
    return special.stream().toArray();
  }

  /** The decoder's definition; a missing or null node where there is none. */
  JsonNode decoder() {
    return decoder;
  }
}
