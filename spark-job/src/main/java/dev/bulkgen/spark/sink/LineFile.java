package dev.bulkgen.spark.sink;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.storage.SealingStream;
import dev.bulkgen.spark.storage.StagedFile;
import dev.bulkgen.spark.storage.Storage;
import java.io.BufferedWriter;
import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;

/** A file of lines on its way to its name. */
final class LineFile implements Closeable {
  private final StagedFile staged;
  private final SealingStream out;
  private final Writer text;
  private boolean committed;

  /**
   * @throws BulkgenException STORAGE_FAILED
   */
  LineFile(StagedFile staged) {
    this.staged = staged;
    try {
      this.out = new SealingStream(staged.create());
    } catch (IOException e) {
      throw staged.failure(e);
    }
    this.text = new BufferedWriter(new OutputStreamWriter(out, StandardCharsets.UTF_8));
  }

  Writer text() {
    return text;
  }

  void line(String line) {
    try {
      text.write(line);
      text.write('\n');
    } catch (IOException e) {
      throw failure(e);
    }
  }

  /**
   * Writes what is buffered; the file has no name yet.
   *
   * @return the digits of its checksum
   */
  String end() {
    try {
      text.close();
      out.end();
      return out.checksum();
    } catch (IOException e) {
      throw failure(e);
    }
  }

  void commit() {
    staged.commit();
    committed = true;
  }

  BulkgenException failure(IOException e) {
    return staged.failure(e);
  }

  @Override
  public void close() {
    if (!committed) {
      Storage.closeQuietly(text);
      staged.discard();
    }
  }
}
