package dev.bulkgen.spark.arrow;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import org.apache.arrow.vector.ipc.ReadChannel;
import org.apache.arrow.vector.ipc.message.MessageSerializer;

/** An Arrow stream; a message longer than its file is told before memory is taken for it. */
final class StreamChannel extends ReadChannel {
  private final long length;

  StreamChannel(InputStream in, long length) {
    super(Channels.newChannel(in));
    this.length = length;
  }

  @Override
  public int readFully(ByteBuffer target) throws IOException {
    int read = super.readFully(target);
    // Arrow reads nothing else in fours: what follows is as long as these say, or they only mark.
    if (read == Integer.BYTES && target.limit() == Integer.BYTES) {
      int message = MessageSerializer.bytesToInt(target.array());
      boolean isMark = message == MessageSerializer.IPC_CONTINUATION_TOKEN;
      if (!isMark && (message < 0 || message > length - bytesRead())) {
        throw new IOException(
            "a message of " + message + " bytes where " + (length - bytesRead()) + " are left");
      }
    }
    return read;
  }
}
