package dev.bulkgen.spark.arrow;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.NonWritableChannelException;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.SeekableByteChannel;
import org.apache.hadoop.fs.FSDataInputStream;

/** A file of Hadoop's as Arrow reads it. */
final class HadoopChannel implements SeekableByteChannel {
  private final FSDataInputStream in;
  private final ReadableByteChannel bytes;
  private final long size;

  HadoopChannel(FSDataInputStream in, long size) {
    this.in = in;
    this.bytes = Channels.newChannel(in);
    this.size = size;
  }

  @Override
  public int read(ByteBuffer target) throws IOException {
    return bytes.read(target);
  }

  @Override
  public long position() throws IOException {
    return in.getPos();
  }

  @Override
  public SeekableByteChannel position(long position) throws IOException {
    in.seek(position);
    return this;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public int write(ByteBuffer source) {
    throw new NonWritableChannelException();
  }

  @Override
  public SeekableByteChannel truncate(long length) {
    throw new NonWritableChannelException();
  }

  @Override
  public boolean isOpen() {
    return bytes.isOpen();
  }

  @Override
  public void close() throws IOException {
    bytes.close();
  }
}
