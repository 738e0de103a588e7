/** The recording page: everything that plays, and nothing that decides who may. */
import './trusted';
import './player.css';
import { mount } from './player/mount';

for (const box of document.querySelectorAll<HTMLElement>('[data-recording]')) {
  void mount(box);
}
