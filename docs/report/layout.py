"""The folder that Sphinx reads. Files are written only where they differ: it need not start anew.

It mirrors the project's own folders (``README.md``, ``docs/``, ``results/demo/…``), so that
relative links between them stay right. Links that Sphinx cannot know are turned into ones that
it can.
"""

import os
import re
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from result import make_slug

_MARKDOWN_LINK = re.compile(r"(?<=\]\()(?!<)([^)\s]+)(?=[)\s])")
_HTML_LINK = re.compile(r"""(?<=\s)((?:href|src)=["'])([^"']+)(?=["'])""")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)
_EXECUTED = re.compile(r"(?:(?P<profile>[^/]+)/)?(?P<name>[^/]+)/executed\.(?:ipynb|html)$")
_NOTEBOOK = re.compile(r"(?P<name>\d\d_\w+)\.ipynb$")


class Layout:
    """Pages for Sphinx, and files that go into the site as they are.

    Parameters
    ----------
    project : Path
        The project's folder.
    work : Path
        Where ``source`` (read by Sphinx) and ``extra`` (copied into the site) are made.
    profile : str
        The profile that a link to a notebook means.
    """

    def __init__(self, project, work, *, profile):
        self.project, self.profile = project, profile
        self.source, self.extra = work / "source", work / "extra"
        self.pages = {}
        self._written = set()

    def add_text(self, name, text):
        """Write a page or file for Sphinx."""
        self._put(self.source / name, text.encode("utf-8"))

    def add_extra(self, name, content):
        """Put a file (a path, or bytes) into the site as it is; returns its address."""
        content = content.read_bytes() if isinstance(content, Path) else content
        self._put(self.extra / name, content)
        return str(name)

    def add_document(self, name):
        """Add one of the project's own Markdown files, its links mended."""
        text = (self.project / name).read_text(encoding="utf-8")
        self.add_text(name, self.relink(text, name))

    def finish(self):
        """Remove what an earlier build left and this one did not write."""
        for folder in (self.source, self.extra):
            for path in sorted(folder.rglob("*"), reverse=True):
                if path.is_file() and path not in self._written:
                    path.unlink()
                elif path.is_dir() and not any(path.iterdir()):
                    path.rmdir()

    def relink(self, text, page, *, bases=None, rendered=False):
        """Turn the links of a text into ones that lead somewhere in the site.

        Parameters
        ----------
        text : str
            Markdown, or HTML.
        page : str
            The page that it stands on, such as ``docs/decisions.md``.
        bases : sequence of str, optional
            Folders of the project that its links may be relative to; the page's own by default.
        rendered : bool
            Whether the text is HTML of a cell's output: only its links to pages are changed, and
            no file is copied for it.

        Returns
        -------
        str
        """
        bases = [str(PurePosixPath(page).parent)] if bases is None else bases

        def replace_markdown(match):
            return self._resolve(match[1], page, bases) or match[1]

        def replace_html(match):
            how = {"as_html": True, "copy": not rendered}
            return match[1] + (self._resolve(match[2], page, bases, **how) or match[2])

        if not rendered:
            text = _MARKDOWN_LINK.sub(replace_markdown, text)
        return _HTML_LINK.sub(replace_html, text)

    def _resolve(self, link, page, bases, *, as_html=False, copy=True):
        """New address of a link; None if it stays as it is."""
        if _ELSEWHERE.match(link):
            return None
        path, mark, fragment = unquote(link).partition("#")
        found = self._find_page(path, bases)
        if found is None:
            for base in bases if copy else ():
                name = os.path.normpath(PurePosixPath(base) / path)
                if not name.startswith("..") and (self.project / name).is_file():
                    found = name
                    break
            else:
                return None
            if as_html:
                self.add_extra(found, self.project / found)
            else:
                self._put(self.source / found, (self.project / found).read_bytes())
        elif as_html:
            found = str(PurePosixPath(found).with_suffix(".html"))
        if as_html:
            found = os.path.relpath(found, PurePosixPath(page).parent)
        else:
            found = "/" + found
        return quote(found) + mark + fragment

    def _find_page(self, path, bases):
        """The page of the site that a path means, such as ``notebooks/10_2_snore.ipynb``."""
        if match := _EXECUTED.search(path):
            here = next((b.split("/")[1] for b in bases if b.startswith("results/")), self.profile)
            profiles = [make_slug(match["profile"] or ""), here, self.profile]
        elif match := _NOTEBOOK.search(path):
            profiles = [self.profile]
        else:
            profiles = []
        for profile in profiles:
            if (page := f"results/{profile}/{make_slug(match['name'])}/executed") in self.pages:
                return page + self.pages[page]
        for base in bases:
            name = os.path.normpath(PurePosixPath(base) / path)
            for candidate in (name, f"{name}/README.md"):
                stem = candidate.removesuffix(".md")
                if candidate.endswith(".md") and stem in self.pages:
                    return candidate
        return None

    def _put(self, path, content):
        self._written.add(path)
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def empty_site(folder):
    """Remove an earlier site, and nothing else.

    Raises
    ------
    FileExistsError
        If the folder holds files that are no site of Sphinx's.
    """
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / ".buildinfo").is_file():
            raise FileExistsError(
                f"{folder}: holds other files, expected an earlier report or none"
            )
        shutil.rmtree(folder)
